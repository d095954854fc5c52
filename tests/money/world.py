"""A world of organizations for simulations: plans, usage, late usage, payments, refunds, crashes."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg

from db import billing, invoices, payments, plans
from db.billing import next_month
from db.errors import Conflict
from db.payments import Attempt, NewAttempt, Told
from db.pool import Database, Tenant
from db.types import SYSTEM, ApiKeyId, CycleId, Money, Plan, new_id
from db.usage import UsageRecord, UsageRecorder
from tests.founding import Founded, found, new_key
from tests.money.oracle import LIST_PRICES, History, Made, Price, days_of
from tests.servers import Urls

AT_ONCE = 32
PLANS: list[Plan] = ["free", "starter", "pro"]
AGREED = Price(1000, 20, 7, 3)


class Killed(Exception):
    """A worker dies in the middle of its transaction."""


@dataclass
class Life:
    """One organization, and what the oracle must know about it."""

    since: datetime
    segments: list[tuple[datetime, str]]
    chance: random.Random
    founded: Founded = field(init=False)
    key: ApiKeyId = field(init=False)
    pending: Plan | None = None
    made: list[Made] = field(default_factory=list)
    credited: list[tuple[CycleId, int]] = field(default_factory=list)  # of an invoice, in minor units

    def history(self) -> History:
        """For the oracle."""
        return History(self.segments, self.made, {**LIST_PRICES, "starter": AGREED})

    def turn(self, month: date) -> None:
        """A planned change comes into force with its month."""
        if self.pending is not None:
            self.segments.append((datetime.combine(month, datetime.min.time(), UTC), self.pending))
            self.pending = None


class World:
    """Makes things happen, for each organization in the order of time and with a chance of its own, from one seed."""

    def __init__(self, database: Database, chance: random.Random) -> None:
        self.database = database
        self.chance = chance
        self.recorder = UsageRecorder(database)
        self.lives: list[Life] = []

    async def each(self, act: Callable[[Life], Awaitable[None]], lives: list[Life] | None = None) -> None:
        """Do something for every organization, or for some of them, many at once."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(life: Life) -> None:
            async with turns:
                await act(life)

        async with asyncio.TaskGroup() as group:
            for life in self.lives if lives is None else lives:
                group.create_task(one(life))

    async def tenant(self, life: Life, act: Callable[[Tenant], Awaitable[Any]], dies: float = 0.0) -> Any:
        """One transaction, which may die before its commit and is then done again."""
        while True:
            with suppress(Killed):
                async with self.database.tenant(life.founded.organization_id, SYSTEM) as tenant:
                    result = await act(tenant)
                    if life.chance.random() < dies:
                        raise Killed
                return result

    async def live(self, month: date) -> None:
        """A month of plan changes and requests."""

        async def one(life: Life) -> None:
            life.turn(month)
            moments = sorted(moment_of(month, life.chance) for _ in range(life.chance.randint(2, 9)))
            for at in (moment for moment in moments if moment > life.since):
                if life.chance.random() < 0.2:
                    await self.change_plan(life, at)
                else:
                    await self.use(life, at, life.chance.randint(1, 20))

        await self.each(one)

    async def change_plan(self, life: Life, at: datetime) -> None:
        wanted = life.chance.choice(PLANS)
        try:
            changed = await self.tenant(life, lambda tenant: plans.change(tenant, wanted, at))
        except Conflict:
            return
        if changed.plan != life.history().plan_at(at):
            life.segments.append((at, changed.plan))
        life.pending = changed.pending_plan

    async def use(self, life: Life, at: datetime, count: int) -> None:
        plan = life.history().plan_at(at) or "free"
        life.made.append(Made(at, count))
        entries = [
            UsageRecord(new_id(), life.founded.organization_id, life.key, plan, "/x", "POST", 200, 1, True, at)
            for _ in range(count)
        ]
        await asyncio.gather(*(self.recorder.record(entry) for entry in entries))

    async def late(self, month: date) -> None:
        """Requests that reach the books only after their month was closed."""

        async def one(life: Life) -> None:
            at = max(moment_of(month, life.chance), life.since + timedelta(seconds=1))
            await self.use(life, at, life.chance.randint(1, 15))

        await self.each(one, self.chance.sample(self.lives, max(5, len(self.lives) // 5)))

    async def close(self, month: date) -> None:
        """Three workers at once for each organization, any of which may die at any time."""
        at = datetime.combine(next_month(month), datetime.min.time(), UTC) + timedelta(minutes=10)
        async with self.database.resolver() as conn:
            await billing.close_month(conn, month, at)
        await self.each(lambda life: self.close_one(life, at), self.lives * 3)

    async def close_one(self, life: Life, at: datetime) -> None:
        async def write(tenant: Tenant) -> bool:
            missing = await billing.missing_months(tenant)
            if missing:
                await billing.close_cycle(tenant, missing[0], at, 14)
            return bool(missing)

        while await self.tenant(life, write, dies=0.2):
            pass

    async def pay(self, now: datetime) -> None:
        """Most of what is owed is paid, some of it twice, some of it given back; the provider repeats itself."""

        async def one(life: Life) -> None:
            for cycle in await self.tenant(life, invoices.unpaid):
                if life.chance.random() < 0.8:
                    await self.pay_one(life, cycle, now)

        await self.each(one)

    async def pay_one(self, life: Life, cycle: invoices.Cycle, now: datetime) -> None:
        first = await self.attempt(life, cycle.id, cycle.outstanding, now)
        given_up = life.chance.random() < 0.3
        if given_up:
            await self.tenant(life, lambda tenant: payments.end(tenant, first.id, "expired", now))
        last = await self.attempt(life, cycle.id, cycle.outstanding, now) if given_up else first
        told = [
            Told("succeeded", 0, "pi"),
            Told("succeeded", 0, "pi"),
            Told("pending", 0, None),
            Told("expired", 0, None),
        ]
        life.chance.shuffle(told)
        for word in told:
            await self.tell(life, last, word, now)
        if given_up and life.chance.random() < 0.5:
            await self.tell(life, first, Told("succeeded", 0, "pi"), now)
            await self.give_back(life, first, now)
        elif life.chance.random() < 0.1:
            part = life.chance.randint(1, last.amount_minor)
            for word in (
                Told("refunded" if part == last.amount_minor else "succeeded", part, "pi"),
                Told("succeeded", 0, "pi"),
            ):
                await self.tell(life, last, word, now)

    async def attempt(self, life: Life, cycle_id: CycleId, owed: Money, now: datetime) -> Attempt:
        new = NewAttempt(cycle_id, "stripe", "x@example.com", owed, owed.minor, now + timedelta(hours=20))

        async def begin(tenant: Tenant) -> Attempt:
            begun = await payments.begin(tenant, new, now)
            assert begun is not None
            await payments.store_checkout(tenant, begun, f"cs_{begun.id}", "https://x.example/", new.expires_at, now)
            return begun

        found_attempt: Attempt = await self.tenant(life, begin)
        return found_attempt

    async def tell(self, life: Life, attempt: Attempt, told: Told, now: datetime) -> None:
        await self.tenant(life, lambda tenant: payments.apply(tenant, attempt.id, told, now), dies=0.2)

    async def give_back(self, life: Life, attempt: Attempt, now: datetime) -> None:
        surplus = await self.tenant(life, lambda tenant: payments.surplus(tenant, attempt.id))
        assert surplus == attempt.amount_minor, "the invoice was paid already"
        await self.tell(life, attempt, Told("refunded", surplus, "pi"), now)


def moment_of(month: date, chance: random.Random) -> datetime:
    """Some time in a month."""
    seconds = chance.randrange(len(days_of(month)) * 86_400)
    return datetime.combine(month, datetime.min.time(), UTC) + timedelta(seconds=seconds)


async def populate(world: World, urls: Urls, first: date, organizations: int) -> None:
    """Organizations founded at some time of the first month, each with a key and a price of its own."""

    async def one(life: Life) -> None:
        life.founded = await found(world.database, life.segments[0][1], life.since)  # type: ignore[arg-type]
        life.key = (await new_key(world.database, life.founded)).key.id

    for _ in range(organizations):
        chance = random.Random(world.chance.random())
        since = moment_of(first, chance)
        world.lives.append(Life(since, [(since, chance.choice(PLANS))], chance))
    await world.each(one)
    owner = await asyncpg.connect(urls.migrator)
    await owner.executemany(
        "insert into billing.agreed_prices values ($1, 'starter', $2, $3, $4, $5, $6)",
        [(life.founded.organization_id, first, AGREED.base, AGREED.included, AGREED.overage, AGREED.per)
         for life in world.lives],
    )  # fmt: skip
    await owner.close()
