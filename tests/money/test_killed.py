"""A closing run that is killed with SIGKILL, again and again: one invoice, one number and one mail for each month."""

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from db.pool import Database
from settings import ROOT
from tests.founding import found
from tests.servers import Urls

ORGANIZATIONS, MONTHS = 12, 9


@pytest.mark.slow
async def test_a_killed_run_leaves_whole_invoices_or_none(
    database: Database, urls: Urls, redis_url: str, tmp_path: Path
) -> None:
    last = datetime.now(UTC).date().replace(day=1) - timedelta(days=1)
    since = datetime(last.year - (last.month < MONTHS), (last.month - MONTHS) % 12 + 1, 1, tzinfo=UTC)
    for _ in range(ORGANIZATIONS):
        await found(database, "pro", since)
    owner = await asyncpg.connect(urls.superuser)
    kills, written = 0, -1
    while True:
        run = start(f"{last:%Y-%m}", urls, redis_url, tmp_path)
        killed = await kill_after_some(run, owner)
        kills += killed
        before, written = written, await owner.fetchval("select count(*) from billing.billing_cycles")
        assert written >= before
        if not killed:
            break
    assert kills >= 2, "the run was killed in its middle"
    assert written == ORGANIZATIONS * MONTHS
    assert await owner.fetchval("select count(*) from billing.billing_cycles where status = 'pending'") == written
    numbers = await owner.fetch(
        "select array_agg(number order by period_start) as all from billing.billing_cycles group by organization_id"
    )
    assert {tuple(row["all"]) for row in numbers} == {tuple(range(1, MONTHS + 1))}
    assert await owner.fetchval("select count(*) from billing.movements where kind = 'charge'") == written
    for counted in ("messaging.emails", "jobs.procrastinate_jobs where task_name = 'email.send'"):
        assert await owner.fetchval(f"select count(*) from {counted}") == written, counted
    await owner.close()


async def kill_after_some(run: "subprocess.Popen[bytes]", owner: "asyncpg.Connection") -> bool:
    """Kill the run once it has written forty more invoices; False when it ended by itself."""
    first = await owner.fetchval("select count(*) from billing.billing_cycles")
    while run.poll() is None:
        if await owner.fetchval("select count(*) from billing.billing_cycles") >= first + 40:
            run.kill()
            run.wait()
            return True
        await asyncio.sleep(0.002)
    assert run.returncode == 0
    return False


def start(month: str, urls: Urls, redis_url: str, folder: Path) -> "subprocess.Popen[bytes]":
    """The command as an operator runs it."""
    environment = {
        "PATH": os.environ["PATH"], "DATABASE_URL": urls.worker, "REDIS_URL": redis_url, "DATA_DIR": str(folder),
        "SMTP_URL": "smtp://127.0.0.1:9", "JWT_SECRET": "a secret of the tests, long enough for its use",
    }  # fmt: skip
    command = [sys.executable, "-m", "cli", "close-month", month]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
