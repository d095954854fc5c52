"""Usage is committed in groups: larger under load, at once for whoever comes alone, each record in its own month."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import asyncpg
import pytest

from db import usage
from db.pool import Database
from db.types import ApiKeyId, new_id
from db.usage import UsageRecord, UsageRecorder
from tests.founding import Founded, found, new_key
from tests.servers import Urls

Home = tuple[Founded, ApiKeyId]
Boss: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
SLOW = 0.5  # seconds that a group takes to write while somebody holds its month


@pytest.fixture
async def home(database: Database) -> Home:
    """An organization with a key."""
    founded = await found(database, "pro")
    return founded, (await new_key(database, founded)).key.id


@pytest.fixture
async def boss(urls: Urls) -> AsyncIterator[Boss]:
    """Who sees how records were written."""
    conn = await asyncpg.connect(urls.superuser)
    yield conn
    await conn.close()


def _record(home: Home, at: datetime | None = None) -> UsageRecord:
    founded, key = home
    when = at or datetime.now(UTC)
    return UsageRecord(new_id(), founded.organization_id, key, "pro", "/x", "GET", 200, 1, True, when)


@asynccontextmanager
async def _held(boss: Boss) -> AsyncIterator[None]:
    """Nobody records meanwhile."""
    async with boss.transaction():
        this_month = datetime.now(UTC).date().replace(day=1)
        await boss.execute("select pg_advisory_xact_lock(usage.month_lock($1))", this_month)
        yield


async def _slow_recorder(database: Database, boss: Boss, home: Home) -> UsageRecorder:
    """One whose last two groups took long."""
    recorder = UsageRecorder(database)
    for _ in range(2):
        async with _held(boss):
            written = asyncio.create_task(recorder.record(_record(home)))
            await asyncio.sleep(SLOW)
        await written
    return recorder


async def _groups(boss: Boss, *entries: UsageRecord) -> int:
    """How many transactions wrote these records."""
    written = await boss.fetch(
        "select xmin from usage.usage_records where id = any ($1)", [entry.id for entry in entries]
    )
    assert len(written) == len(entries)
    return len({row["xmin"] for row in written})


async def test_a_group_waits_for_those_on_their_way(database: Database, boss: Boss, home: Home) -> None:
    recorder, one, other = await _slow_recorder(database, boss, home), _record(home), _record(home)
    with recorder.coming:
        first = asyncio.create_task(recorder.record(one))
        await asyncio.sleep(SLOW / 10)  # long enough to be written, if it did not wait
    await recorder.record(other)
    await first
    assert await _groups(boss, one, other) == 1


async def test_who_never_comes_is_not_waited_for(database: Database, boss: Boss, home: Home) -> None:
    recorder, one, other = await _slow_recorder(database, boss, home), _record(home), _record(home)
    async with asyncio.timeout(20 * SLOW):
        with recorder.coming:
            await recorder.record(one)
        await recorder.record(other)
    assert await _groups(boss, one, other) == 2


async def test_whoever_comes_alone_goes_at_once(database: Database, boss: Boss, home: Home) -> None:
    recorder = await _slow_recorder(database, boss, home)
    async with asyncio.timeout(SLOW * 0.9):
        await recorder.record(_record(home))


async def test_a_request_that_was_given_up_lets_its_group_go(database: Database, boss: Boss, home: Home) -> None:
    recorder = await _slow_recorder(database, boss, home)

    async def never() -> None:
        with recorder.coming:
            await asyncio.Event().wait()

    given_up = asyncio.create_task(never())
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    async with asyncio.timeout(SLOW * 0.9):
        await recorder.record(_record(home))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Los_Angeles"])
async def test_each_record_of_a_group_is_billed_in_its_own_month(urls: Urls, boss: Boss, home: Home, zone: str) -> None:
    turns = [datetime(2031, month, 1, tzinfo=UTC) for month in (4, 11)]  # a clock is put forward and back before them
    ats = [turn + timedelta(minutes=minutes) for turn in turns for minutes in (0, -1, 90, -90, 0)]
    conn = await asyncpg.connect(urls.api, server_settings={"timezone": zone})
    for group in (ats[:1], ats[1:2], ats[:5], ats[5:], ats):
        entries = [_record(home, at) for at in group]
        for written in (len(entries), 0):  # and once only
            assert await usage.queries.record(conn, **usage.columns(entries)) == written
        ids = [entry.id for entry in entries]
        rows = await boss.fetch("select occurred_at, billed_month from usage.usage_records where id = any ($1)", ids)
        assert sorted(map(tuple, rows)) == sorted((at, at.date().replace(day=1)) for at in group)
    await conn.close()


async def test_a_group_without_a_time_or_without_records_leaves_nothing(urls: Urls, home: Home) -> None:
    conn = await asyncpg.connect(urls.api)
    columns = usage.columns([_record(home)])
    with pytest.raises(asyncpg.NotNullViolationError):
        await usage.queries.record(conn, **columns | {"occurred_ats": [None]})
    assert await usage.queries.record(conn, **{name: [] for name in columns}) == 0
    await conn.close()
