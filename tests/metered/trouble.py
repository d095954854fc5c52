"""Servers of a test's own, which it may stop and kill, and two processes that depend on them."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from db import keys
from db.counters import OPEN_SECONDS
from db.errors import Unavailable
from db.limits import Limits
from db.pool import Database
from db.types import SYSTEM, new_id, system_clock
from db.usage import UsageRecord
from tests.founding import Founded
from tests.servers import TestServers, Urls

BOUND = 1.0
"""Seconds within which an answer comes although a store is gone: 0.2 s for Redis, the rest for a busy machine."""


@pytest.fixture(scope="module")
def own() -> Iterator[TestServers]:
    """Servers that may be killed."""
    folder = Path(tempfile.mkdtemp(prefix="mts-faults-"))
    folder.chmod(0o711)
    servers = TestServers(folder)
    servers.postgres.start()
    servers.valkey.start()
    yield servers
    servers.valkey.stop()
    servers.postgres.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def own_urls(own: TestServers) -> Iterator[Urls]:
    """A database on those servers."""
    with own.database("faults") as name:
        yield own.urls(name)


@pytest.fixture
async def door(own_urls: Urls) -> AsyncIterator[Database]:
    """The door of an API process."""
    opened = await Database.open(own_urls.api, 4, "tests")
    yield opened
    await opened.close()


@pytest.fixture
async def pair(own: TestServers, door: Database) -> AsyncIterator[tuple[Limits, Limits]]:
    """The limits of two processes."""
    own.valkey.start()
    opened = Limits(door, own.redis_url("0"), system_clock, 2), Limits(door, own.redis_url("0"), system_clock, 2)
    for process in opened:
        await process.ping()
    yield opened
    for process in opened:
        await process.close()


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Processes that answer nothing and refuse nothing."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def timed(process: Limits, key: str) -> float:
    begin = time.monotonic()
    await process.admit(key)
    return time.monotonic() - begin


async def back(process: Limits) -> None:
    """Wait until Redis is asked again."""
    deadline = time.monotonic() + OPEN_SECONDS + 5
    while True:
        try:
            return await process.ping()
        except Unavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def revoke(door: Database, founded: Founded, new: keys.NewKey, process: Limits) -> None:
    async with door.tenant(founded.organization_id, SYSTEM) as tenant:
        await keys.revoke(tenant, new.key.id, datetime.now(UTC))
    await process.bump(founded.organization_id)


def record(founded: Founded, new: keys.NewKey) -> UsageRecord:
    return UsageRecord(
        new_id(), founded.organization_id, new.key.id, "free", "/x", "POST", 200, 1, True, datetime.now(UTC)
    )
