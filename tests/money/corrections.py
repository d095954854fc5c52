"""Credit notes in a simulated world: for paid invoices and unpaid ones, by workers that may die in the middle."""

from contextlib import suppress
from datetime import datetime

from db import invoices
from db.credit_notes import credit
from db.errors import Conflict
from db.pool import Tenant
from db.types import CycleId, Money
from tests.money.world import Life, World


async def correct(world: World, now: datetime) -> None:
    """Some of the newest invoices are credited; the books decide what becomes of it."""

    async def write(life: Life, cycle_id: CycleId, amount: Money) -> None:
        async def note(tenant: Tenant) -> None:
            await credit(tenant, cycle_id, amount, "an outage", now)

        with suppress(Conflict):
            await world.tenant(life, note, dies=0.2)

    async def one(life: Life) -> None:
        cycles, _ = await world.tenant(life, lambda tenant: invoices.issued(tenant, 1, 3))
        for cycle in cycles:
            if cycle.total_amount_minor and life.chance.random() < 0.15:
                await write(life, cycle.id, Money(life.chance.randint(1, cycle.total_amount_minor)))

    await world.each(one)
