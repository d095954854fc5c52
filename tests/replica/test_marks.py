"""Marks only move forward, are not believed when they are not ours, and cost nothing where no standby is read."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import redis

from db.counters import Counters
from db.marks import KEPT_SECONDS, Marks
from db.pool import Database
from db.types import SYSTEM, LogPosition, OrganizationId, new_id
from db.usage import UsageRecord, UsageRecorder
from tests.founding import found, new_key
from tests.isolation.wire import counted
from tests.metered.trouble import stopped
from tests.replica.conftest import until
from tests.servers import TestServers, Urls


@pytest.fixture
async def counters(own: TestServers) -> AsyncIterator[Counters]:
    """A connection to Redis."""
    opened = Counters(own.redis_url("0"))
    yield opened
    await opened.close()


@pytest.fixture
def mine() -> OrganizationId:
    """An organization that nobody has heard of."""
    return OrganizationId(new_id())


async def test_a_mark_only_moves_forward_and_lives_for_a_while(
    counters: Counters, own: TestServers, mine: OrganizationId
) -> None:
    marks, store = Marks(counters), redis.Redis.from_url(own.redis_url("0"))
    assert await marks.of(mine) is None
    last = 0
    for position in (9, 10, 3, (1 << 53) + 1, 1 << 53, (1 << 63) - 1):
        await marks.note([mine], LogPosition(position))
        last = max(last, position)
        assert await marks.of(mine) == last
    assert 0 < int(str(store.ttl(f"written:{{{mine}}}"))) <= KEPT_SECONDS


@pytest.mark.parametrize("nonsense", ["", "7", "9" * 21, "1234567890123456789x"])
async def test_what_is_no_mark_says_nothing_and_gives_way(
    counters: Counters, own: TestServers, mine: OrganizationId, nonsense: str
) -> None:
    marks, store = Marks(counters), redis.Redis.from_url(own.redis_url("0"))
    store.set(f"written:{{{mine}}}", nonsense)
    assert await marks.of(mine) is None
    await marks.note([mine], LogPosition(5))
    assert await marks.of(mine) == 5
    store.delete(f"written:{{{mine}}}")
    store.lpush(f"written:{{{mine}}}", nonsense)
    assert await marks.of(mine) is None


async def test_a_mark_that_redis_could_not_be_told_is_told_when_it_is_back(
    counters: Counters, own: TestServers, mine: OrganizationId
) -> None:
    marks = Marks(counters)
    await marks.note([mine], LogPosition(5))
    with stopped(own.valkey.pid):
        await marks.note([mine], LogPosition(7))
        await marks.note([mine], LogPosition(6))
    elsewhere = Marks(Counters(own.redis_url("0")))

    async def is_told() -> bool:
        return await elsewhere.of(mine) == 7

    await until(is_told)
    marks.close()


async def test_a_write_costs_one_round_trip_more_where_a_standby_is_read_and_none_elsewhere(
    own_urls: Urls, counters: Counters, capsys: pytest.CaptureFixture[str]
) -> None:
    trips_of = {}
    async with counted(own_urls.api) as (url, trips):
        for marks in (None, Marks(counters)):
            database = await Database.open(url, 1, "tests")
            database.marks = marks
            mine = await found(database)
            new = await new_key(database, mine)
            recorder, before = UsageRecorder(database), trips.count
            async with database.tenant(mine.organization_id, SYSTEM):
                pass
            written = trips.count - before
            async with database.tenant(mine.organization_id, SYSTEM, read_only=True):
                pass
            read = trips.count - before - written
            entry = UsageRecord(
                new_id(), mine.organization_id, new.key.id, "free", "/x", "GET", 200, 1, True, datetime.now(UTC)
            )
            await recorder.record(entry)  # prepares the statement
            before = trips.count
            await asyncio.gather(*(recorder.record(_again(entry)) for _ in range(20)))
            trips_of[marks is not None] = (written, read, trips.count - before)
            await database.close()
    with capsys.disabled():
        print(
            f"\nround trips of a write, a read and a group of records: {trips_of[False]}, with marks {trips_of[True]}"
        )
    assert trips_of == {False: (2, 2, 1), True: (3, 2, 2)}


def _again(entry: UsageRecord) -> UsageRecord:
    return entry._replace(id=new_id())
