"""Hundreds of tasks of two organizations at once, over one connection, many of them cut off: nothing crosses over."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import httpx
import pytest

from db.types import SYSTEM, OrganizationId, new_id
from tests.isolation.houses import House
from tests.isolation.strangers import World, opened
from tests.servers import Urls

pytestmark = pytest.mark.timeout(150)
TASKS = 240
SEED = 20261123
Action = Callable[[World, House], Awaitable[str]]

TENANT_TABLES = "select name from ops.tables where kind = 'tenant' and not is_partition"


LISTS = (
    "/team/members", "/keys", "/audit/events", "/dashboard/stats", "/dashboard/api-keys", "/billing/usage",
    "/billing/history", "/suppressions", "/organization", "/auth/sessions",
)  # fmt: skip


class HalfwayError(Exception):
    """Ends a transaction in its middle."""


@pytest.fixture(scope="module")
async def world(urls: Urls, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """API and worker with a pool of one connection each."""
    folder = tmp_path_factory.mktemp("interleaved")
    async with opened(urls, redis_url, folder, log_level="info", pool_size=1) as world:
        world.stack.http.timeout = 120  # everybody waits for the one connection
        yield world


async def send(world: World, house: House) -> str:
    word = house.words[0]
    body = {"to": f"to-{word}@mts-test.com", "type": "email", "message": f"{word} {new_id()}", "metadata": {"of": word}}
    headers = {"Idempotency_Key": f"same-{random.randrange(40)}"} if random.random() < 0.5 else {}
    return (await world.stack.visitor().post("/messages/send", body, X_API_Key=house.key, **headers)).response.text


async def read_messages(world: World, house: House) -> str:
    return (await world.stack.visitor().get("/messages?limit=50", X_API_Key=house.key)).response.text


async def make_key(world: World, house: House) -> str:
    return (await house.owner.post("/keys", {"name": f"{house.words[0]} {new_id()}"})).response.text


async def suppress(world: World, house: House) -> str:
    address = f"{house.words[0]}-{new_id().hex}@mts-test.com"
    return (await house.owner.post("/suppressions", {"channel": "email", "recipient": address})).response.text


async def look(world: World, house: House) -> str:
    path = random.choice(LISTS)
    return (await house.owner.get(path)).response.text


async def look_at_page(world: World, house: House) -> str:
    path = random.choice(("/dashboard", "/team", "/keys", "/audit", "/billing", "/account"))
    cookie = {"Cookie": f"mts_session={house.owner.token}", "X-Forwarded-For": house.owner.network}
    return (await world.stack.http.get(path, headers=cookie)).text


async def write_halfway(world: World, house: House) -> str:
    """Below HTTP, on the very connection that serves it: a write that is cut off before its end, or fails."""
    found = ""
    try:
        async with world.stack.resources.database.tenant(OrganizationId(UUID(house.organization_id)), SYSTEM) as tenant:
            await tenant.conn.execute("update tenancy.organizations set name = 'Never'")
            found = str(await tenant.conn.fetch("select organization_id, email from tenancy.users, pg_sleep(0.002)"))
            raise HalfwayError
    except HalfwayError:
        return found


ACTIONS: tuple[Action, ...] = (send, send, read_messages, make_key, suppress, look, look, look_at_page, write_halfway)


async def work_on(world: World, done: asyncio.Event) -> None:
    """The worker comes and goes while the API is under fire."""
    while not done.is_set():
        await world.stack.work()


async def one_of_many(world: World, houses: tuple[House, House]) -> tuple[House, str] | None:
    """One task: its answer, or None when it was cut off."""
    house, action = random.choice(houses), random.choice(ACTIONS)
    patience = random.uniform(0.001, 0.4) if random.random() < 0.35 else 60
    try:
        return house, await asyncio.wait_for(action(world, house), patience)
    except (TimeoutError, httpx.ReadError, httpx.RemoteProtocolError):
        return None


async def test_nothing_of_one_reaches_the_other(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    random.seed(SEED)
    capfd.readouterr()
    houses, done = (world.victim, world.attacker), asyncio.Event()
    worker = asyncio.create_task(work_on(world, done))
    try:
        answers = await asyncio.gather(*[one_of_many(world, houses) for _ in range(TASKS)])
    finally:
        done.set()
        await worker
    await world.stack.work()
    whole = [answer for answer in answers if answer is not None]
    assert TASKS * 0.3 < len(whole) < TASKS
    for house, text in whole:
        other = houses[1] if house is houses[0] else houses[0]
        assert not {mark for mark in other.marks() if mark in text.lower()}, text
        assert '"INTERNAL_ERROR"' not in text
    _nothing_astray(world, houses)
    _no_line_of_two(capfd.readouterr().out, houses)
    _no_mail_of_two(world, houses)


def _nothing_astray(world: World, houses: tuple[House, House]) -> None:
    """Every text that the tasks have written holds its organization's word; no row of the one may hold the other's."""
    tables = [row[0] for row in world.stack.rows(TENANT_TABLES)]
    for one, other in (houses, houses[::-1]):
        for table in tables:
            wrong = f"select t::text from {table} t where organization_id = %s and t::text ilike %s"
            assert world.stack.rows(wrong, one.organization_id, f"%{other.words[0]}%") == []
        name = "select name from tenancy.organizations where organization_id = %s"
        assert world.stack.rows(name, one.organization_id) == [(f"{one.words[0]} Holding",)]


def _no_line_of_two(log: str, houses: tuple[House, House]) -> None:
    lines = [line for line in log.splitlines() if line.startswith("{")]
    assert len(lines) > TASKS / 4
    for line in lines:
        json.loads(line)
        known = [house for house in houses if {mark for mark in house.marks() if mark in line.lower()}]
        assert len(known) < 2, line
        assert '"level":"error"' not in line, line


def _no_mail_of_two(world: World, houses: tuple[House, House]) -> None:
    mails = world.stack.mailbox.find()
    assert len(mails) > 10
    for mail in mails:
        text = f"{mail} {mail.part('plain')} {mail.part('html')}".lower()
        assert len([house for house in houses if house.words[0] in text]) < 2
