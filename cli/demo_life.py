"""What happens today in `mts demo`: reminders of what is overdue, payments through the sandboxes, messages.

Every step looks first at what is there already: a killed run is finished by the next one, and a third changes nothing.
"""

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta

from cli.demo_calendar import REMINDED_AFTER_DAYS, Calendar, standing
from cli.demo_cast import Story
from cli.demo_founding import Founded
from cli.demo_messages import send_missing
from cli.errors import CommandError
from cli.tour_http import Guide
from db import invoices, organizations, payments
from db.invoices import Cycle
from db.payments import Attempt, ProviderName
from db.pool import Tenant
from db.types import Actor
from jobs.checkout import open_checkout
from jobs.dunning import remind
from jobs.resources import Resources
from jobs.settlement import ask

WEBHOOK_WITHIN_SECONDS = 15.0
ASK_AGAIN_SECONDS = 0.1
PRESSED = (302, 303, 409)  # 409: a run before this one has pressed the button


@dataclass(frozen=True, slots=True)
class Today:
    """One organization of a running installation, as its worker sees it."""

    worker: Resources
    guide: Guide
    story: Story
    founded: Founded

    def transaction(self) -> AbstractAsyncContextManager[Tenant]:
        """A transaction in the owner's name."""
        return self.worker.database.tenant(self.founded.id, Actor("user", self.founded.owner_id))


async def live(today: Today) -> int:
    """Remind, pay and send whatever the story still misses; how many things were done."""
    cycles = await _cycles(today)
    await _remind(today, cycles)
    paid = 0
    for plan, cycle in zip(today.story.months, cycles, strict=False):
        if plan.fate == "paid_now" and cycle is not None and cycle.status in ("pending", "overdue"):
            await _pay(today, cycle, plan.provider)
            paid += 1
    return paid + await send_missing(today.worker, today.guide, today.story, today.founded)


async def _cycles(today: Today) -> list[Cycle | None]:
    """The story's invoices, oldest month first; None for one that was never issued."""
    async with today.transaction() as tenant:
        organization = await organizations.get(tenant)
        issued, _ = await invoices.issued(tenant, 1, 1000)
    calendar = Calendar.since(today.story, organization.created_at, today.worker.clock.now())
    by_month = {cycle.month: cycle for cycle in issued}
    return [by_month.get(month) for month in calendar.months]


async def _remind(today: Today, cycles: list[Cycle | None]) -> None:
    """Let the reminders go out as if a worker had been there on their days, each once."""
    unpaid = [cycle for cycle in cycles if cycle and cycle.status in ("pending", "overdue") and cycle.due_date]
    moments = {
        cycle.due_date + timedelta(days=days, minutes=5)
        for cycle in unpaid
        if cycle.due_date
        for days in REMINDED_AFTER_DAYS
    }
    for moment in sorted(moments):
        if moment <= today.worker.clock.now():
            await remind.run(standing(today.worker, moment), today.founded.id)


async def _pay(today: Today, cycle: Cycle, provider: ProviderName) -> None:
    """Open the checkout, press “Pay” on the provider's page, and wait for its webhook to be taken in."""
    attempt = await open_checkout(today.worker, today.transaction, cycle.id, provider)
    answer = await asyncio.to_thread(today.guide.sandbox.post, str(attempt.url), data={"outcome": "pay"})
    if answer.status_code not in PRESSED:
        raise CommandError(f"The checkout page answered {answer.status_code}.")
    if await _is_paid(today, attempt):
        return
    # The webhook did not come: ask the provider, as the worker does after a quarter of an hour.
    await ask(today.worker, today.founded.id, attempt)
    if not await _is_paid(today, attempt, seconds=0):
        raise CommandError(f"{provider} does not say that invoice {cycle.number_text} is paid.")


async def _is_paid(today: Today, attempt: Attempt, seconds: float = WEBHOOK_WITHIN_SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        async with today.transaction() as tenant:
            found = await payments.get(tenant, attempt.id)
        if found is not None and found.succeeded_minor:
            return True
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(ASK_AGAIN_SECONDS)
