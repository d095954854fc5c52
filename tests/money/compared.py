"""What a simulated world has in its books at the end, against what the oracle makes of what happened in it."""

from datetime import date

from db import credit_notes, invoices, reconciliation
from db.credit_notes import CreditNote
from db.invoices import Cycle
from db.pool import Tenant
from tests.money.oracle import base_of, overage_of, total_of
from tests.money.world import Life, World


async def compare(world: World, life: Life, first: date) -> None:
    """Every base as the oracle has it, all usage billed once, numbers without gaps, and nothing to reconcile."""
    cycles: list[Cycle] = await world.tenant(life, every)
    assert [cycle.number for cycle in cycles] == list(range(1, len(cycles) + 1))
    months = [cycle.month for cycle in cycles]
    life.turn(months[-1])
    history = life.history()
    assert [minor_of([cycle], "base") for cycle in cycles] == [base_of(history, month) for month in months]
    lines = [line for cycle in cycles for line in cycle.lines if line.kind in ("included", "overage", "late")]
    assert sum(line.quantity for line in lines) == sum(made.count for made in life.made)
    assert sum(line.amount_minor for line in lines) == sum(overage_of(history, month) for month in months)
    await compare_credits(world, life, cycles)
    assert await world.tenant(life, reconciliation.reconcile) == []


async def compare_credits(world: World, life: Life, cycles: list[Cycle]) -> None:
    """Each credit has one note, and all that was ever charged is credited, paid, owed, or waits for an invoice."""
    notes, totals = await world.tenant(life, lambda tenant: credit_notes.page(tenant, 1, 1000))
    assert sorted(map(_in_short, notes)) == sorted(life.credited)
    history = life.history()
    charged = sum(total_of(history, cycle.month) for cycle in cycles)
    credited, paid = sum(minor for _, minor in life.credited), sum(cycle.paid_minor for cycle in cycles)
    uncovered = [
        cycle.total_amount_minor - cycle.credited_minor - cycle.remainder_minor - cycle.paid_minor for cycle in cycles
    ]
    assert min(uncovered) >= 0, "nobody keeps what was paid too much"
    left = sum(cycle.remainder_minor for cycle in cycles) - minor_of(cycles, "remainder")
    waiting = left - minor_of(cycles, "carry") - totals.balance_minor
    assert charged - credited - paid == sum(uncovered) + waiting


def minor_of(cycles: list[Cycle], kind: str) -> int:
    """What the lines of a kind sum to."""
    return sum(line.amount_minor for cycle in cycles for line in cycle.lines if line.kind == kind)


def _in_short(note: CreditNote) -> tuple[object, int]:
    return note.billing_cycle_id, note.amount_minor


async def every(tenant: Tenant) -> list[Cycle]:
    """All invoices with their lines, oldest first."""
    cycles, _ = await invoices.issued(tenant, 1, 100)
    return [await invoices.get(tenant, cycle.id) for cycle in reversed(cycles)]
