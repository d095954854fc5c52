"""A missing context and a failing database are faults of ours: 500 without detail, and a stack in the log."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import psycopg
import pytest

import db.pool
from tests.isolation.strangers import World, opened
from tests.servers import Urls

pytestmark = pytest.mark.timeout(120)
WORDS = ("ORG01", "organization in context", "DETAIL", "HINT", "CONTEXT", "PL/pgSQL", "sqlstate", "quagmire")
BROKEN = """
create function public.break() returns trigger language plpgsql as $$
begin
    raise exception 'quagmire' using detail = 'Failing row contains (quagmire).', hint = 'Look into the quagmire.';
end
$$;
create trigger broken before insert on tenancy.api_keys for each row execute function public.break();
"""


@pytest.fixture(scope="module")
async def world(urls: Urls, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The running product."""
    async with opened(urls, redis_url, tmp_path_factory.mktemp("faults"), log_level="error") as world:
        yield world


@pytest.fixture
def broken(urls: Urls) -> Iterator[None]:
    """A table that refuses every key, with all that Postgres can say about it."""
    with psycopg.connect(urls.superuser, autocommit=True) as conn:
        conn.execute(BROKEN)
        conn.execute("grant execute on function public.break() to app_rw")
        yield
        conn.execute("drop function public.break() cascade")


def fault(answer: httpx.Response, logged: str) -> dict[str, Any]:
    """The one line of the log that belongs to an answer which says nothing."""
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert (error["code"], error["details"]) == ("INTERNAL_ERROR", {})
    assert not [word for word in WORDS if word in answer.text + str(answer.headers)]
    (line,) = [json.loads(line) for line in logged.splitlines() if error["request_id"] in line and '"stack"' in line]
    assert (line["event"], line["level"]) == ("http.fault", "error")
    found: dict[str, Any] = line
    return found


async def test_a_missing_context_is_an_error_with_a_stack_and_an_answer_without_detail(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard is broken on purpose: a transaction that forgets whose it is."""
    monkeypatch.setattr(db.pool, "_begin", lambda *_: "begin")
    capfd.readouterr()
    answer = (await world.attacker.owner.get("/keys")).response
    line = fault(answer, "".join(capfd.readouterr()))
    assert "no organization in context" in line["stack"]
    assert "db/" in line["stack"]


@pytest.mark.usefixtures("broken")
async def test_what_postgres_says_of_a_row_reaches_neither_the_client_nor_the_log(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    answer = (await world.attacker.owner.post("/keys", {"name": "quick"})).response
    line = fault(answer, "".join(capfd.readouterr()))
    assert "quagmire" in line["stack"]
    assert "Failing row" not in line["stack"]
    assert "Look into" not in line["stack"]
