"""Organizations that owe an invoice, and what happens to it: credits, payments, and money that goes back."""

from datetime import UTC, date, datetime

import asyncpg

from db import credit_notes, payments
from db.billing import Seller
from db.credit_notes import credit
from db.payments import Applied, Told
from db.pool import Database
from db.types import SYSTEM, CycleId, Money, Plan
from tests.founding import Founded, found
from tests.money.test_closing import close
from tests.servers import Urls

SELLER = Seller("Difference Engines Ltd", "1 Dorset Street\nLondon W1", "GB 123 4567 89")


async def owing(database: Database, month: date, plan: Plan = "pro") -> tuple[Founded, CycleId]:
    """A new organization with the invoice of its first month."""
    founded = await found(database, plan, datetime.combine(month, datetime.min.time(), UTC))
    return founded, (await close(database, founded, month)).id


async def write(
    database: Database,
    founded: Founded,
    cycle_id: CycleId,
    minor: int,
    reason: str = "an outage",
    key: str | None = None,
) -> str:
    """Write a credit note; the invoice's new status."""
    now = datetime(2030, 1, 2, tzinfo=UTC)
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        return (await credit(tenant, cycle_id, Money(minor), reason, now, SELLER, key))[1]


async def pay(database: Database, founded: Founded, cycle_id: CycleId, urls: Urls) -> None:
    """Money arrives for all that is owed."""
    owner = await asyncpg.connect(urls.superuser)
    await owner.execute(
        "insert into billing.payments (organization_id, id, billing_cycle_id, provider, customer_email, amount_minor,"
        " currency, invoice_minor, expires_at, asked_at, updated_at, created_at)"
        " select organization_id, gen_random_uuid(), id, 'stripe', 'x@example.com', total_amount_minor, currency,"
        " total_amount_minor, now(), now(), now(), now() from billing.billing_cycles where id = $1",
        cycle_id,
    )
    await owner.execute(
        "update billing.payments set status = 'succeeded', succeeded_minor = amount_minor, settled_at = now()"
        " where billing_cycle_id = $1",
        cycle_id,
    )
    await owner.execute("select billing.settle($1, $2, now())", founded.organization_id, cycle_id)
    await owner.close()


async def balance(database: Database, founded: Founded) -> int:
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        return (await credit_notes.page(tenant, 1, 1))[1].balance_minor


async def give_back(
    database: Database, founded: Founded, cycle_id: CycleId, refunded: int, charged_back: int = 0
) -> Applied:
    """The provider says how much of an invoice's payment has been given back by now, and what a bank has taken back."""
    told = Told("succeeded", refunded, "pi", charged_back_minor=charged_back)
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        (payment,) = await payments.of_invoice(tenant, cycle_id)
        return await payments.apply(tenant, payment.id, told, datetime(2030, 1, 3, tzinfo=UTC))
