"""A worker that is killed while it rolls up, at any statement, leaves sums that the next one completes exactly."""

import asyncio
import random
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from db import rollups, spending
from db.pool import Database
from db.types import SYSTEM, ApiKeyId
from db.usage import UsageRecorder
from settings import ROOT
from tests.founding import Founded, new_key
from tests.metered.counting import EXPECTED, HOURS, START, founded, record, rows, start_over, worker
from tests.servers import Urls

__all__ = ["founded", "worker"]
KILLS = 6


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_killed_count_is_completed_by_the_next_one(
    database: Database, worker: Database, urls: Urls, founded: Founded
) -> None:
    start_over(urls)
    key = (await new_key(database, founded)).key.id
    killed, written, within = 0, 0, 0.15
    while killed < KILLS:
        assert written < 60 * 120, "a worker is always faster than its killer"
        await _write(database, founded, key, 120)
        written += 120
        was_at_work = await asyncio.to_thread(_count_and_be_killed, urls.worker, killed * HOURS // KILLS, within)
        await _agrees(database, urls, founded)
        # Earlier after one that was done, later after one that was not: at any moment of its work, on any machine.
        within *= 1.2 if was_at_work else 0.7
        killed += was_at_work
    await rollups.roll_up(worker, START + timedelta(hours=HOURS) + rollups.SETTLING)
    await _agrees(database, urls, founded)
    rolled = "select sum(requests)::int from usage.daily_usage where organization_id = %s"
    assert rows(urls, rolled, founded.organization_id) == [(written,)]


async def _write(database: Database, founded: Founded, key: ApiKeyId, count: int) -> None:
    """Records all over the days: some of them late for hours that were counted by a worker killed before."""
    recorder = UsageRecorder(database)
    entries = [record(founded, key, random.uniform(0, HOURS), random.choice((200, 404, 429))) for _ in range(count)]
    await asyncio.gather(*(recorder.record(entry) for entry in entries))


def _count_and_be_killed(url: str, first_hour: int, within: float) -> bool:
    """Whether the worker was still at it when it was killed, at most so many seconds after it began."""
    command = [sys.executable, "-m", "tests.metered.counter", url, str(first_hour)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("begin\n")
        process.stdin.flush()
        time.sleep(random.uniform(0, within))  # anywhere: before, between and within its transactions
        process.kill()
        return "done" not in process.stdout.read()


async def _agrees(database: Database, urls: Urls, founded: Founded) -> None:
    """Sums and raw tail are the records, whatever was counted."""
    days = HOURS // 24
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        assert await rollups.differences(tenant, START.date()) == []
        spent = (await spending.between(tenant, START.date(), START.date() + timedelta(days=days))).summary
    until = START + timedelta(days=days + 1)
    whole = rows(urls, EXPECTED, founded.organization_id, START, until)[0]
    assert (spent.total_requests, spent.successful_requests, spent.billable_requests) == whole
