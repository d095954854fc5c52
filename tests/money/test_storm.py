"""Months of many organizations through the real workers, while workers are killed and PostgreSQL falls.

Customers pay on the pages of both providers' sandboxes, some twice, some later, some never; they get money back and
dispute, and invoices are credited meanwhile. Events come twice, in the wrong order or never, calls fail, answers are
lost. At the end every invoice is the oracle's, the books of payments are the providers' own, each credit has one note,
and each event was applied once.

The suite runs a small storm of eight months. A long one of fourteen, which takes about an hour on two cores:

    SIMULATED_ORGANIZATIONS=2000 ./mts test -n 0 tests/money/test_storm.py -s
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli.embedded import EmbeddedPostgres
from db import migrate
from db.billing import next_month
from db.bootstrap import bootstrap, role_url
from db.pool import Database
from jobs.providers.payments import PaymentState
from tests.money.compared import compare
from tests.money.market import market
from tests.money.storm import Ground, Storm, start_of
from tests.money.world import populate
from tests.servers import ROLES, Urls

FAILED = """
select j.task_name, e.error
from jobs.procrastinate_jobs j left join jobs.job_errors e on e.job_id = j.id
where j.status = 'failed'
"""
ORGANIZATIONS = int(os.environ.get("SIMULATED_ORGANIZATIONS", "8"))
IS_LONG = ORGANIZATIONS > 100
MONTHS = 14 if IS_LONG else 8
OFTEN_LOOKED = 0.15 if IS_LONG else 1.0  # how many look at their invoices in a month


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
async def storm(ground: Ground, redis_url: str, tmp_path: Path) -> AsyncIterator[Storm]:
    opened = await Database.open(ground.urls.worker, 24, "tests")
    async with market(ground.urls, redis_url, tmp_path) as place:
        yield Storm(opened, random.Random(ORGANIZATIONS), place, OFTEN_LOOKED)
    await opened.close()


@pytest.mark.slow
@pytest.mark.timeout(10_800 if IS_LONG else 600)
async def test_after_every_blow_the_books_are_the_oracles_and_the_providers(storm: Storm, ground: Ground) -> None:
    begun, spans = time.monotonic(), Counter[str]()
    last = (datetime.now(UTC).date().replace(day=1) - timedelta(days=1)).replace(day=1)
    month = first = months_before(last, MONTHS - 1)
    storm.market.clock.turn_to(start_of(first))
    await populate(storm, ground.urls, first, ORGANIZATIONS)
    for number in range(MONTHS):
        await timed(spans, "live", storm.live(month))
        async with blows(storm, ground, falls=number % 5 == 0, hard=number % 2 == 0, kills=number % 4 == 1):
            await timed(spans, "close", storm.close(month))
        await timed(spans, "live", storm.late(month))
        month = next_month(month)
        async with blows(storm, ground, falls=number % 5 == 2, hard=number % 2 == 1, kills=number % 4 == 3):
            await timed(spans, "pay", storm.pay(start_of(month) + timedelta(days=3)))
        if IS_LONG:
            so_far = {name: round(seconds) for name, seconds in spans.items()}
            print(f"{month:%Y-%m}: {time.monotonic() - begun:.0f} s {so_far}", flush=True)
    await storm.close(month)
    await timed(spans, "compare", storm.each(lambda life: compare(storm, life, first)))
    await the_providers_agree(storm, ground)
    spent = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in spans.items())
    storm.deeds.done["credit"] = sum(len(life.credited) for life in storm.lives)
    print(
        f"{ORGANIZATIONS} organizations, {MONTHS} months, {sum(m.count for x in storm.lives for m in x.made)} requests,"
        f" {ground.downs} falls, {storm.market.kills} kills: {time.monotonic() - begun:.0f} s ({spent})\n"
        f"{dict(sorted(storm.deeds.done.items()))}"
    )
    assert any(life.credited for life in storm.lives)
    assert ground.downs >= 4
    assert storm.market.kills >= 4


def months_before(month: date, count: int) -> date:
    number = month.year * 12 + month.month - 1 - count
    return date(number // 12, number % 12 + 1, 1)


async def timed(spans: "Counter[str]", name: str, step: Awaitable[Any]) -> None:
    begun = time.monotonic()
    await step
    spans[name] += time.monotonic() - begun  # type: ignore[assignment]


@asynccontextmanager
async def blows(storm: Storm, ground: Ground, *, falls: bool, hard: bool, kills: bool) -> AsyncIterator[None]:
    """While others work on, the server falls a moment from now, and workers are killed while they are busy."""

    async def fall() -> None:
        await asyncio.sleep(storm.chance.uniform(0.05, 0.5))
        await asyncio.to_thread(ground.fall, hard=hard)

    async def kill() -> None:
        while True:
            await kill_a_busy_one(storm, ground)
            await asyncio.sleep(storm.chance.uniform(2, 20))

    falling = asyncio.create_task(fall()) if falls else None
    killing = asyncio.create_task(kill()) if IS_LONG or kills else None
    yield
    if falling is not None:
        await falling
    if killing is not None:
        killing.cancel()
        with suppress(asyncio.CancelledError):
            await killing


async def kill_a_busy_one(storm: Storm, ground: Ground) -> None:
    busy = "select 1 from jobs.procrastinate_jobs where queue_name = 'billing' and status = 'doing' limit 1"
    for _ in range(1000):
        with suppress(psycopg.OperationalError):
            if await asyncio.to_thread(ground.rows, busy):
                storm.market.kill_one(storm.chance)
                return
        await asyncio.sleep(0.005)


async def the_providers_agree(storm: Storm, ground: Ground) -> None:
    """Every payment is what its provider says, every event was handled once, and nobody was written to twice."""
    truth = await storm.market.truth()
    books = {
        reference: (succeeded, refunded, charged_back)
        for reference, succeeded, refunded, charged_back in ground.rows(
            "select reference, succeeded_minor, refunded_minor, charged_back_minor from billing.payments"
        )
        if succeeded
    }
    held = {reference: money(state, storm.deeds.lost.get(reference, 0)) for reference, state in truth.items()}
    assert books == {reference: each for reference, each in held.items() if each[0]}
    events = ground.rows("select provider, event_id, outcome, type, reference from billing.payment_events")
    assert {(provider, event) for provider, event, *_ in events} == storm.market.told()
    assert [each for each in events if each[2] not in ("applied", "ignored")] == []
    assert ground.rows(FAILED) == []
    mailed = "select subject_id from messaging.emails where kind = 'invoice'"
    owed = "select id from billing.billing_cycles where total_amount_minor > 0 and issued_at is not null"
    assert sorted(ground.rows(mailed)) == sorted(ground.rows(owed)), "one mail for each invoice that is to be paid"


def money(state: PaymentState, lost: int) -> tuple[int, int, int]:
    """What came, what was given back, and what a bank fetched back."""
    has_come = state.status in ("succeeded", "refunded")
    return (state.amount_minor, state.refunded_minor, lost) if has_come else (0, 0, 0)
