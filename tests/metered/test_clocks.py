"""Processes whose clocks differ: windows and months are those of Redis, expiry is each process's own affair."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from db import keys
from db.errors import Unauthorized
from db.limits import Limits
from db.pool import Database
from db.types import SYSTEM
from tests.founding import found, new_key
from tests.servers import Urls
from tests.visitors import TurnableClock

HOURS = (-30, 0, 30)


@pytest.fixture
async def skewed(database: Database, redis_url: str) -> AsyncIterator[list[Limits]]:
    """Three processes: one behind, one right, one ahead."""
    clocks = [TurnableClock() for _ in HOURS]
    for clock, hours in zip(clocks, HOURS, strict=True):
        clock.turn(hours=hours)
    opened = [Limits(database, redis_url, clock) for clock in clocks]
    yield opened
    for process in opened:
        await process.close()


async def test_they_share_one_window_and_tell_one_time(database: Database, skewed: list[Limits]) -> None:
    new = await new_key(database, await found(database, "starter"))
    answers = await asyncio.gather(*(skewed[n % 3].admit(new.secret) for n in range(120)))
    assert sum(answer.refusal is None for answer in answers) == 60
    for answer in answers:
        assert abs(int(dict(answer.headers)[b"x-ratelimit-reset"]) - time.time()) <= 121


async def test_they_share_one_months_quota(database: Database, skewed: list[Limits], urls: Urls) -> None:
    founded = await found(database, "free")
    new = await new_key(database, founded)
    with psycopg.connect(urls.superuser) as conn:
        conn.execute("update tenancy.organizations set rate_limit_override = 100000")
    answers = await asyncio.gather(*(skewed[n % 3].admit(new.secret) for n in range(1100)))
    assert sum(answer.refusal is None for answer in answers) == 1000
    assert len({answer.taken_from for answer in answers if answer.taken_from}) == 1


async def test_a_change_by_any_of_them_is_read_by_all(database: Database, skewed: list[Limits]) -> None:
    founded = await found(database, "pro")
    for changing in skewed:
        new = await new_key(database, founded)
        for process in skewed:
            await process.admit(new.secret)
        async with database.tenant(founded.organization_id, SYSTEM) as tenant:
            await keys.revoke(tenant, new.key.id, datetime.now(UTC))
        await changing.bump(founded.organization_id)
        for process in skewed:
            with pytest.raises(Unauthorized):
                await process.admit(new.secret)


async def test_a_key_ends_when_a_process_thinks_so(database: Database, skewed: list[Limits]) -> None:
    new = await new_key(database, await found(database, "pro"), expires_at=datetime.now(UTC) + timedelta(hours=1))
    behind, right, ahead = skewed
    for process in (behind, right):
        assert (await process.admit(new.secret)).refusal is None
    with pytest.raises(Unauthorized):
        await ahead.admit(new.secret)
