"""Fourteen months of many organizations while PostgreSQL is restarted or killed, and closing processes are killed.

The suite runs a small storm. A longer one, by hand: SIMULATED_ORGANIZATIONS=1000 mts test tests/money/test_storm.py -s
"""

import asyncio
import os
import random
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli.embedded import EmbeddedPostgres
from db import billing, migrate, payments
from db.billing import next_month
from db.bootstrap import bootstrap, role_url
from db.errors import Unavailable
from db.payments import Attempt
from db.pool import Database, Tenant
from db.types import CycleId, Money
from tests.money.test_killed import start
from tests.money.test_simulation import MONTHS, Life, World, compare, populate
from tests.servers import ROLES, Urls

ORGANIZATIONS = int(os.environ.get("SIMULATED_ORGANIZATIONS", "8"))
AT_ONCE = 48


@dataclass
class Ground:
    """A PostgreSQL of its own, to be maltreated."""

    postgres: EmbeddedPostgres
    urls: Urls
    downs: int = 0

    def fall(self, *, hard: bool) -> None:
        """Stop the server, with a crash or with good manners, and start it again."""
        self.postgres.kill() if hard else self.postgres.stop()
        self.downs += 1
        self.postgres.start()


class Storm(World):
    """A world whose database comes and goes: whoever hears nothing does it again, and nothing happens twice."""

    async def tenant(self, life: Life, act: Callable[[Tenant], Awaitable[Any]], dies: float = 0.0) -> Any:
        while True:
            with suppress(Unavailable):
                return await super().tenant(life, act, dies)
            await asyncio.sleep(0.05)

    async def attempt(self, life: Life, cycle_id: CycleId, owed: Money, now: datetime) -> Attempt:
        """As a second click: the attempt may have been begun by a call whose answer was lost."""
        live = await self.tenant(life, lambda tenant: payments.live(tenant, cycle_id))
        if live is not None:
            attempt: Attempt = live
            return attempt
        with suppress(AssertionError):
            return await super().attempt(life, cycle_id, owed, now)
        return await self.attempt(life, cycle_id, owed, now)

    async def close_books(self, month: date) -> None:
        """Close a month for the whole installation, however often it takes."""
        at = datetime.combine(next_month(month), datetime.min.time(), UTC) + timedelta(minutes=10)
        while True:
            with suppress(Unavailable):
                async with self.database.resolver() as conn:
                    await billing.close_month(conn, month, at)
                return
            await asyncio.sleep(0.05)

    async def write_all(self, month: date) -> None:
        """Three workers at once for each organization."""
        at = datetime.combine(next_month(month), datetime.min.time(), UTC) + timedelta(minutes=10)
        turns = asyncio.Semaphore(AT_ONCE)

        async def write(life: Life) -> None:
            async with turns:
                await self.close_one(life, at)

        await asyncio.gather(*(write(life) for life in self.lives for _ in range(3)))


@pytest.fixture
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("ground")
    folder.chmod(0o711)
    # What is committed survives the server's death, not the machine's.
    postgres = EmbeddedPostgres(folder / "postgres", durable=False, settings={"synchronous_commit": "on"})
    postgres.start()
    try:
        admin = postgres.superuser_url()
        bootstrap(admin, "storm", dict.fromkeys(ROLES, "storm"))
        by_role = {role.removeprefix("app_"): role_url(admin, "storm", role, "storm") for role in ROLES}
        urls = Urls(superuser=postgres.superuser_url("storm"), **by_role)
        migrate.up(urls.migrator)
        yield Ground(postgres, urls)
    finally:
        postgres.stop()


@pytest.fixture
async def storm(ground: Ground) -> AsyncIterator[Storm]:
    opened = await Database.open(ground.urls.worker, 24, "tests")
    yield Storm(opened, random.Random(ORGANIZATIONS))
    await opened.close()


@pytest.mark.slow
@pytest.mark.timeout(7200 if ORGANIZATIONS > 100 else 180)
async def test_after_every_fall_the_books_are_the_oracles(
    storm: Storm, ground: Ground, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, kills, phases = time.monotonic(), 0, {"live": 0.0, "close": 0.0, "pay": 0.0}
    monkeypatch.setattr("tests.money.test_simulation.ORGANIZATIONS", ORGANIZATIONS)
    last = (datetime.now(UTC).date().replace(day=1) - timedelta(days=1)).replace(day=1)
    first = date(last.year - (last.month < MONTHS % 12 + 1), (last.month - MONTHS) % 12 + 1, 1)
    first = first.replace(year=first.year - 1) if _months(first, last) < MONTHS else first
    await populate(storm, ground.urls, first)
    month = first
    for number in range(MONTHS):
        phases["live"] += await timed(storm.live(month))
        await storm.close_books(month)
        if number % 7 == 1:
            kills += await killed_run(month, ground, redis_url, tmp_path)
        falls = fall_later(ground, hard=number % 2 == 0) if number % 5 == 0 else None
        phases["close"] += await timed(storm.write_all(month))
        if falls is not None:
            await falls
        await storm.late(month)
        month = next_month(month)
        falls = fall_later(ground, hard=number % 2 == 1) if number % 5 == 2 else None
        phases["pay"] += await timed(storm.pay(datetime.combine(month, datetime.min.time(), UTC) + timedelta(days=3)))
        if falls is not None:
            await falls
    await storm.close_books(month)
    await storm.write_all(month)
    for life in storm.lives:
        await compare(storm, life, first)
    spans = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in phases.items())
    print(
        f"{ORGANIZATIONS} organizations, {MONTHS} months, {sum(m.count for x in storm.lives for m in x.made)} requests,"
        f" {ground.downs} falls, {kills} kills: {time.monotonic() - begun:.0f} s ({spans})"
    )
    assert ground.downs >= 6
    assert kills >= 1


def _months(first: date, last: date) -> int:
    return (last.year - first.year) * 12 + last.month - first.month + 1


async def timed(step: Awaitable[Any]) -> float:
    begun = time.monotonic()
    await step
    return time.monotonic() - begun


def fall_later(ground: Ground, *, hard: bool) -> "asyncio.Future[None]":
    """The server falls a moment from now, while others work on."""

    def fall() -> None:
        time.sleep(0.05)
        ground.fall(hard=hard)

    return asyncio.get_running_loop().run_in_executor(None, fall)


async def killed_run(month: date, ground: Ground, redis_url: str, folder: Path) -> int:
    """A closing process that is killed as soon as it has written something; 1 when it was."""
    with psycopg.connect(ground.urls.superuser, autocommit=True) as conn:

        def written() -> int:
            row = conn.execute("select count(*) from billing.billing_cycles").fetchone()
            return int(row[0]) if row else 0

        before = written()
        run: subprocess.Popen[bytes] = start(f"{month:%Y-%m}", ground.urls, redis_url, folder)
        while run.poll() is None:
            if written() > before + ORGANIZATIONS // 4:
                run.kill()
                run.wait()
                return 1
            await asyncio.sleep(0.002)
    return 0
