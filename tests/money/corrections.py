"""Credit notes in a simulated world: for unpaid invoices, part-paid and paid ones, by workers that may die."""

from datetime import datetime
from functools import partial

from db import invoices
from db.credit_notes import credit
from db.errors import Conflict
from db.invoices import Cycle
from db.pool import Tenant
from db.types import Money
from tests.money.world import Life, World

OFTEN, OFTEN_PART_PAID, OFTEN_REPEATED = 0.15, 0.6, 0.3


async def correct(world: World, now: datetime, lives: list[Life] | None = None) -> None:
    """Some of the newest invoices are credited, some of them twice; the books decide what becomes of it."""

    async def one(life: Life) -> None:
        cycles, _ = await world.tenant(life, lambda tenant: invoices.issued(tenant, 1, 3))
        for cycle in cycles:
            is_part_paid = cycle.paid_minor and cycle.outstanding.minor
            if cycle.total_amount_minor and life.chance.random() < (OFTEN_PART_PAID if is_part_paid else OFTEN):
                await write(world, life, cycle, now)

    await world.each(one, lives)


async def write(world: World, life: Life, cycle: Cycle, now: datetime) -> None:
    """One credit, which whoever does not hear of it writes again; the oracle notes it once."""
    amount = Money(life.chance.randint(1, cycle.total_amount_minor))
    tries = 2 if life.chance.random() < OFTEN_REPEATED else 1
    note = partial(_note, cycle=cycle, amount=amount, now=now)
    if any([await world.tenant(life, note, dies=0.2) for _ in range(tries)]):
        life.credited.append((cycle.id, amount.minor))


async def _note(tenant: Tenant, cycle: Cycle, amount: Money, now: datetime) -> bool:
    """Whether the note is in the books, by this or by an earlier try."""
    try:
        await credit(tenant, cycle.id, amount, "an outage", now, key=f"{now}")
    except Conflict as refusal:
        return refusal.code == "ALREADY_CREDITED"
    return True
