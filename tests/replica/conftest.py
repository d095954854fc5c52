"""Two processes of the product over a primary, its standby and a Valkey of their own."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis
from pydantic import SecretStr

from api.app import SUBJECTS
from api.fields import Answer
from api.http import ANY_USER, Router, UserCall
from jobs.resources import Resources
from settings import Settings
from tests.http.planting import Planted, plant
from tests.replica.standby import PATIENCE, Standby, execute, own_servers, standby_of
from tests.servers import TestServers, Urls
from tests.stack import serving, settings_for
from tests.visitors import TurnableClock

probe = Router("/probe", tag="Tests")
BOUND = 5.0
"""Seconds within which an answer comes although the standby is gone or frozen: two, and the rest for a busy machine."""


class Where(Answer):
    """Which server a read saw."""

    on_standby: bool


@probe.get("/where", access=ANY_USER, limit=None, replica=True)
async def where(call: UserCall) -> Where:
    """A read that tells where it is."""
    return Where(on_standby=await call.tenant.conn.fetchval("select pg_is_in_recovery()"))


@probe.get("/slow", access=ANY_USER, limit=None, replica=True)
async def slow(call: UserCall) -> Where:
    """A read that has seen rows and takes long on a standby, and there alone."""
    await call.tenant.conn.fetchval("select count(*) from tenancy.organizations")
    call.add_header("X-Seen", "1")
    await call.tenant.conn.execute("select pg_sleep(60) where pg_is_in_recovery()")
    return await where(call)


@dataclass
class House:
    """An organization and its owner, as two processes meet them."""

    planted: Planted
    headers: dict[str, str]

    async def reads_on_standby(self, process: httpx.AsyncClient) -> bool:
        """Where a read of this organization goes now."""
        answer = await process.get("/api/v1/probe/where", headers=self.headers)
        return bool(answer.json()["data"]["on_standby"])

    async def name(self, process: httpx.AsyncClient) -> str:
        """The organization's name as the dashboard shows it."""
        answer = await process.get("/api/v1/dashboard/stats", headers=self.headers)
        return str(answer.json()["data"]["organization"]["name"])

    async def rename(self, process: httpx.AsyncClient, name: str) -> None:
        """A write of the owner's."""
        (await process.put("/api/v1/organization", json={"name": name}, headers=self.headers)).raise_for_status()


@dataclass
class Scene:
    """The servers, and two processes."""

    servers: TestServers
    standby: Standby
    urls: Urls
    settings: Settings
    here: httpx.AsyncClient
    there: httpx.AsyncClient
    resources: tuple[Resources, Resources]
    store: redis.Redis

    async def house(self) -> House:
        """A new organization that is read on the standby by both processes."""
        planted = await asyncio.to_thread(plant, self.settings)
        house = House(planted, planted.headers("owner"))
        await self.settled(house)
        return house

    async def settled(self, house: House) -> None:
        """Wait until both processes read on the standby again."""
        self.standby.catch_up()
        for process in (self.here, self.there):
            await until(lambda process=process: house.reads_on_standby(process))  # type: ignore[misc]

    def rename_behind_their_backs(self, house: House, name: str) -> None:
        """A write that leaves no mark, as the worker's or a DBA's."""
        statement = "update tenancy.organizations set name = %s where organization_id = %s"
        execute(self.urls.superuser, statement, name, house.planted.organization_id)


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what must come by itself."""
    deadline = time.monotonic() + PATIENCE
    while not await is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def own() -> Iterator[TestServers]:
    """A primary and a Valkey that may be killed."""
    with own_servers() as servers:
        yield servers


@pytest.fixture(scope="module")
def own_urls(own: TestServers) -> Iterator[Urls]:
    """A database on that primary."""
    with own.database("product") as name:
        yield own.urls(name)


@pytest.fixture(scope="module")
def standby(own: TestServers, own_urls: Urls) -> Iterator[Standby]:
    """A standby of that primary."""
    with standby_of(own) as following:
        yield following


@pytest.fixture
def replica_url(own_urls: Urls, standby: Standby) -> str:
    """The standby's URL for the API's role."""
    return on(own_urls.api, standby)


def on(url: str, server: Standby) -> str:
    """The same URL on another server of this machine."""
    before, _, after = url.rpartition(":")
    return f"{before}:{server.port}/{after.partition('/')[2]}"


@pytest.fixture
async def scene(
    own: TestServers, own_urls: Urls, standby: Standby, replica_url: str, tmp_path: Path
) -> AsyncIterator[Scene]:
    """Everything runs, and is left running again."""
    own.valkey.start()
    alone = settings_for(own_urls.api, own.redis_url("0"), 9, tmp_path)
    settings = alone.model_copy(update={"replica_url": SecretStr(replica_url)})
    async with AsyncExitStack() as cleanup:
        clock = TurnableClock()
        here, at_here = await cleanup.enter_async_context(serving(settings, clock, [*SUBJECTS, probe]))
        there, at_there = await cleanup.enter_async_context(serving(settings, clock, [*SUBJECTS, probe]))
        store = redis.Redis.from_url(own.redis_url("0"), decode_responses=True)
        yield Scene(own, standby, own_urls, settings, here, there, (at_here, at_there), store)
    standby.start()
    standby.resume()
