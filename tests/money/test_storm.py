"""Months of many organizations through the real workers, while workers are killed and PostgreSQL falls.

Customers pay on the pages of both providers' sandboxes, some twice, some later, some never; they get money back and
dispute. Events come twice, in the wrong order or never, calls fail, answers are lost. At the end every invoice is the
oracle's, the books of payments are the providers' own, and each event was applied once.

The suite runs a small storm of eight months. A long one of fourteen:

    SIMULATED_ORGANIZATIONS=2000 ./mts test -n 0 tests/money/test_storm.py -s
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli.embedded import EmbeddedPostgres
from db import invoices, migrate, payments, rollups
from db.billing import next_month
from db.bootstrap import bootstrap, role_url
from db.errors import Conflict, Invalid
from db.payments import Attempt, ProviderName
from db.pool import Database, Tenant
from db.types import SYSTEM
from jobs import billing as closing
from jobs import dunning
from jobs import payments as inbox
from jobs.checkout import open_checkout
from jobs.providers.errors import ProviderError
from jobs.providers.payments import PaymentState
from tests.money.market import Market, market
from tests.money.test_simulation import Life, World, compare, populate
from tests.servers import ROLES, Urls

ORGANIZATIONS = int(os.environ.get("SIMULATED_ORGANIZATIONS", "8"))
IS_LONG = ORGANIZATIONS > 100
MONTHS = 14 if IS_LONG else 8
OFTEN_LOOKED = 0.15 if IS_LONG else 1.0  # how many look at their invoices in a month
PROVIDERS: list[ProviderName] = ["stripe", "paystack"]
# What a customer does with a page: pays, is declined and pays, pays by debit, goes away, pays there and elsewhere too.
DOES, OFTEN = ("pay", "decline", "debit", "leave", "twice"), (60, 10, 10, 10, 10)


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

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask around all row security."""
        with psycopg.connect(self.urls.superuser, autocommit=True) as conn:
            return conn.execute(statement.encode()).fetchall()


@dataclass
class Deeds:
    """What happened, for the count at the end."""

    done: Counter[str] = field(default_factory=Counter)
    lost: dict[str, int] = field(default_factory=dict)  # by reference: what a bank fetched back for good


class Storm(World):
    """A world whose parts come and go: whoever hears nothing does it again, and nothing happens twice."""

    def __init__(self, database: Database, chance: random.Random, market: Market) -> None:
        super().__init__(database, chance)
        self.market = market
        self.deeds = Deeds()

    async def tenant(self, life: Life, act: Callable[[Tenant], Awaitable[Any]], dies: float = 0.0) -> Any:
        """One transaction, however often it takes."""
        return await self.market.again(partial(super().tenant, life, act, dies))

    async def close(self, month: date) -> None:
        """The schedule fires ten minutes after the month; the workers do the rest."""
        self.market.clock.turn_to(start_of(next_month(month)) + timedelta(minutes=11))
        await self.market.again(lambda: rollups.roll_up(self.database, self.market.clock.now()))
        await self.market.again(lambda: closing.close_months.run(self.market.worker, 0))
        await self.market.quiet()

    async def pay(self, now: datetime) -> None:
        """Most of what is owed is paid, and some of it given back; then the reviewers ask for what was never told."""
        self.market.clock.turn_to(now)
        await self.market.misbehave(max(20, len(self.lives)))
        await self.each(self.pay_all)
        await self.market.quiet()
        await self.each(self.regret)
        await self.market.quiet()
        await self.market.behave()
        self.market.clock.turn_to(now + timedelta(minutes=20))
        for look in (inbox.review_unheard, inbox.review_days):
            await self.market.again(partial(look.run, self.market.worker, 0))
            await self.market.quiet()
        # Two weeks on: what is owed still is overdue, later its keys are suspended, and the pages have closed.
        self.market.clock.turn_to(now + timedelta(days=16))
        await self.market.again(lambda: dunning.sweep.run(self.market.worker, 0))
        await self.market.quiet()

    async def pay_all(self, life: Life) -> None:
        """What one organization does about its invoices."""
        if life.chance.random() > OFTEN_LOOKED:
            return
        for cycle in await self.tenant(life, invoices.unpaid):
            if life.chance.random() < 0.8:
                does, provider = life.chance.choices(DOES, OFTEN)[0], life.chance.choice(PROVIDERS)
                attempt = await self.open(life, cycle, provider)
                if attempt is not None:
                    await self.do(life, cycle, attempt, does)

    async def open(self, life: Life, cycle: invoices.Cycle, provider: ProviderName) -> Attempt | None:
        """Click on "pay" until a page opens; None when nothing is owed or the provider takes no such amount."""

        @asynccontextmanager
        async def transaction() -> AsyncIterator[Tenant]:
            async with self.market.api.database.tenant(life.founded.organization_id, SYSTEM) as tenant:
                yield tenant

        with suppress(Conflict, Invalid):
            found: Attempt = await self.market.again(
                lambda: open_checkout(self.market.api, transaction, cycle.id, provider)
            )
            return found
        return None

    async def do(self, life: Life, cycle: invoices.Cycle, attempt: Attempt, does: str) -> None:
        """A customer in front of a page."""
        page = attempt.url or ""
        if does == "twice":  # a page of Paystack cannot be closed: the money of both comes
            other = await self.open(life, cycle, "stripe" if attempt.provider == "paystack" else "paystack")
            if other is not None:
                await self.market.press(other.url or "", "pay")
        if does == "debit" and attempt.provider == "stripe":
            await self.market.press(page, "later")
            await self.market.press(page, life.chance.choice(["settle", "settle", "bounce"]))
        elif does == "decline":
            await self.market.press(page, "decline")
        if does in ("pay", "decline", "twice"):
            await self.market.press(page, "pay")
        self.deeds.done[f"{does} with {attempt.provider}"] += 1

    async def regret(self, life: Life) -> None:
        """Some payments are given back in part or whole at the provider, some are fetched back by a bank."""
        for attempt in await self.tenant(life, recent):
            chance = life.chance.random()
            if chance < 0.1:
                await self.give_some_back(life, attempt)
            elif chance < 0.15:
                await self.dispute(life, attempt)

    async def give_some_back(self, life: Life, attempt: Attempt) -> None:
        client = self.market.worker.payments[attempt.provider]
        part = attempt.amount_minor if life.chance.random() < 0.3 else life.chance.randint(1, attempt.amount_minor)
        for _ in range(20):
            with suppress(ProviderError):
                state = await client.fetch(attempt.reference or "")
                await client.refund(state, part, f"regret-{attempt.id}")
                self.deeds.done["refund"] += 1
                return
        raise AssertionError("the provider does not come back")

    async def dispute(self, life: Life, attempt: Attempt) -> None:
        provider, status = attempt.provider, life.chance.choice(["won", "lost"])
        for _ in range(20):
            with suppress(ProviderError):
                state = await self.market.worker.payments[provider].fetch(attempt.reference or "")
                intent = {"payment_intent": state.provider_payment_id}
                claimed = intent if provider == "stripe" else {"reference": state.reference}
                opened = await self.market.control(f"{provider}/dispute", **claimed)
                await self.market.control(f"{provider}/close-dispute", dispute=opened["id"], status=status)
                self.deeds.done[f"dispute {status} with {provider}"] += 1
                if status == "lost":
                    self.deeds.lost[state.reference] = opened["amount" if provider == "stripe" else "refund_amount"]
                return
        raise AssertionError("the provider does not come back")


def start_of(month: date) -> datetime:
    return datetime.combine(month, datetime.min.time(), UTC)


async def recent(tenant: Tenant) -> list[Attempt]:
    """Payments that came for the newest invoice."""
    cycles, _ = await invoices.issued(tenant, 1, 1)
    found = await payments.of_invoice(tenant, cycles[0].id) if cycles else []
    return [each for each in found if each.status == "succeeded" and not each.surplus_minor and not each.refunded_minor]


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
        yield Storm(opened, random.Random(ORGANIZATIONS), place)
    await opened.close()


@pytest.mark.slow
@pytest.mark.timeout(10_800 if IS_LONG else 300)
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
    print(
        f"{ORGANIZATIONS} organizations, {MONTHS} months, {sum(m.count for x in storm.lives for m in x.made)} requests,"
        f" {ground.downs} falls, {storm.market.kills} kills: {time.monotonic() - begun:.0f} s ({spent})\n"
        f"{dict(sorted(storm.deeds.done.items()))}"
    )
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
    events = ground.rows("select provider, event_id, outcome from billing.payment_events")
    assert {(provider, event) for provider, event, _ in events} == storm.market.told()
    assert {outcome for _, _, outcome in events} <= {"applied", "ignored"}
    assert ground.rows("select task_name from jobs.procrastinate_jobs where status = 'failed'") == []
    mailed = "select subject_id from messaging.emails where kind = 'invoice'"
    owed = "select id from billing.billing_cycles where total_amount_minor > 0 and issued_at is not null"
    assert sorted(ground.rows(mailed)) == sorted(ground.rows(owed)), "one mail for each invoice that is to be paid"


def money(state: PaymentState, lost: int) -> tuple[int, int, int]:
    """What came, what was given back, and what a bank fetched back."""
    has_come = state.status in ("succeeded", "refunded")
    return (state.amount_minor, state.refunded_minor, lost) if has_come else (0, 0, 0)
