"""A world that pays through both providers' sandboxes and real workers, over a PostgreSQL that falls."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import psycopg

from cli.embedded import EmbeddedPostgres
from db import invoices, payments, rollups
from db.billing import next_month
from db.errors import Conflict, Invalid
from db.payments import Attempt, ProviderName
from db.pool import Database, Tenant
from db.types import SYSTEM
from jobs import billing as closing
from jobs import dunning
from jobs import payments as inbox
from jobs.checkout import open_checkout
from jobs.providers.errors import ProviderError
from tests.money.corrections import correct
from tests.money.market import Market
from tests.money.world import Life, World
from tests.servers import Urls

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

    def __init__(self, database: Database, chance: random.Random, market: Market, often: float) -> None:
        """`often`: which part of the organizations looks at its invoices in a month."""
        super().__init__(database, chance)
        self.often = often
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
        """Most of what is owed is paid, some of it given back or credited; reviewers ask for what was never told."""
        self.market.clock.turn_to(now)
        await self.market.misbehave(max(20, len(self.lives)))
        await asyncio.gather(self.each(self.pay_all), self.correct(now))
        await self.market.quiet()
        await asyncio.gather(self.each(self.regret), self.correct(now + timedelta(hours=1)))
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

    async def correct(self, now: datetime) -> None:
        """Operators credit invoices of those who look at theirs, while money comes and goes."""
        await correct(self, now, [life for life in self.lives if self.chance.random() < self.often])

    async def pay_all(self, life: Life) -> None:
        """What one organization does about its invoices."""
        if life.chance.random() > self.often:
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
