"""Credits, payments and closes in any order agree, and whatever is planted beside them is found."""

import random
from contextlib import suppress
from datetime import date

import asyncpg
import pytest

from db import credit_notes, invoices
from db.errors import Conflict
from db.pool import Database
from db.types import SYSTEM, CycleId
from tests.founding import Founded
from tests.money.owed import owing, pay, write
from tests.money.test_closing import close, differences
from tests.servers import Urls

ONE_MORE_CREDIT_LINE = """
insert into billing.billing_cycle_lines
select organization_id, id, 9, 'credit', null, 'x', 1, -5, 1, -5 from billing.billing_cycles
"""


@pytest.mark.parametrize("seed", range(6))
async def test_credits_payments_and_closes_in_any_order_agree(database: Database, urls: Urls, seed: int) -> None:
    chance = random.Random(seed)
    founded, cycle_id = await owing(database, date(2031 + seed, 2, 1), chance.choice(["starter", "pro"]))
    given = taken = 0
    for number in range(3, 9):
        if chance.random() < 0.7 and await unpaid(database, founded, cycle_id):
            await pay(database, founded, cycle_id, urls)
        for _ in range(chance.randint(0, 2)):
            minor = chance.randint(1, 3000)
            with suppress(Conflict):
                await write(database, founded, cycle_id, minor)
                given += minor
        cycle = await close(database, founded, date(2031 + seed, number, 1))
        cycle_id = cycle.id
        taken -= sum(line.amount_minor for line in cycle.lines if line.kind == "credit")
        assert cycle.total_amount_minor >= 0
    assert await differences(database, founded) == []
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        notes, totals = await credit_notes.page(tenant, 1, 100)
    assert totals.credited_minor == given == sum(note.amount_minor for note in notes)
    assert totals.balance_minor == sum(note.balance_minor for note in notes) - taken


async def unpaid(database: Database, founded: Founded, cycle_id: CycleId) -> bool:
    """Whether all of an invoice is still owed."""
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        cycle = await invoices.get(tenant, cycle_id)
    return cycle.status == "pending" and not cycle.credited_minor


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("delete from billing.credit_notes", "credit in the ledger"),
        ("update billing.credit_notes set number = 3", "numbers of credit notes without gaps"),
        ("update billing.invoice_counters set last_credit_note = 0", "counter of credit notes"),
        ("update billing.billing_cycles set credited_minor = 0", "credit notes on the invoice"),
        (ONE_MORE_CREDIT_LINE, "more credit used than given"),
        (ONE_MORE_CREDIT_LINE, "credit used in the ledger"),
    ],
)
async def test_every_planted_difference_of_credits_is_found(
    database: Database, urls: Urls, statement: str, finding: str
) -> None:
    founded, cycle_id = await owing(database, date(2032, 2, 1))
    await write(database, founded, cycle_id, 100)
    assert await differences(database, founded) == []
    owner = await asyncpg.connect(urls.superuser)
    await owner.execute("set session_replication_role = replica")
    await owner.execute(f"{statement} where organization_id = $1", founded.organization_id)
    await owner.close()
    assert finding in {found.finding for found in await differences(database, founded)}
