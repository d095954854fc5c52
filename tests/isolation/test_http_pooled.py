"""The whole product behind a PgBouncer in transaction mode with one server connection: each process honours it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli.self_check import refuse_unsafe_start
from tests.isolation.strangers import World, opened
from tests.isolation.wire import PGBOUNCER, pgbouncer
from tests.servers import Urls

pytestmark = [
    pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed here"),
    pytest.mark.timeout(120),
]


@pytest.fixture(scope="module")
def pooled(urls: Urls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Urls]:
    """The same roles, the API's through the pooler; a worker listens and needs a connection of its own."""
    folder: Path = tmp_path_factory.mktemp("pooled")
    with pgbouncer(urls.api, folder) as url:
        yield replace(urls, api=url)


@pytest.fixture(scope="module")
async def world(pooled: Urls, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Both organizations, founded and busy through the pooler."""
    folder = tmp_path_factory.mktemp("behind")
    async with opened(pooled, redis_url, folder, database_statement_cache=0) as world:
        yield world


async def test_two_organizations_live_behind_one_server_connection(world: World) -> None:
    for house, other in ((world.victim, world.attacker), (world.attacker, world.victim)):
        for path in ("/team/members", "/keys", "/audit/events", "/dashboard/stats", "/billing/usage", "/suppressions"):
            answer = (await house.owner.get(path)).response
            assert answer.status_code == 200, answer.text
            assert not {mark for mark in other.marks() if mark in answer.text.lower()}
        listed = (await world.stack.visitor().get("/messages", X_API_Key=house.key)).data["messages"]
        assert {each["message_id"] for each in listed} == set(house.values["message_id"])


def test_a_process_examines_itself_through_the_pooler(world: World) -> None:
    refuse_unsafe_start(world.stack.settings)
