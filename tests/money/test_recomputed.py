"""What a DBA sees in psql: each invoice beside raw usage and beside its payments, in every currency; always zero."""

from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest

from db.pool import Database
from db.types import OrganizationId
from tests.founding import found, new_key
from tests.money.shop import Shop, shop
from tests.money.test_closing import close, use
from tests.servers import Urls

__all__ = ["shop"]

ONE_RECORD_LESS = """
delete from usage.usage_records
where id = (select id from usage.usage_records where organization_id = %s limit 1)
"""


def seen(urls: Urls, organization_id: OrganizationId, statement: str) -> list[tuple[Any, ...]]:
    """What the auditor reads in the organization."""
    with psycopg.connect(urls.auditor, autocommit=True) as conn:
        conn.execute("call ops.as_org(%s, 'ticket 1')", [organization_id])
        return conn.execute(statement.encode()).fetchall()


async def test_an_invoice_beside_its_raw_records(database: Database, urls: Urls) -> None:
    founded = await found(database, "starter", datetime(2034, 1, 1, tzinfo=UTC))
    key = (await new_key(database, founded)).key.id
    await use(database, founded, key, datetime(2034, 1, 20, tzinfo=UTC), "starter", 40)
    cycle = await close(database, founded, date(2034, 1, 1))
    figures = "select invoiced, recorded, difference, difference_minor from ops.invoice_reconciliation"
    assert seen(urls, founded.organization_id, figures) == [(40, 40, 0, 0)]
    with psycopg.connect(urls.superuser) as owner:
        owner.execute("set session_replication_role = replica")
        owner.execute(
            "update billing.billing_cycle_lines set amount_minor = 1001 where billing_cycle_id = %s and kind = 'base'",
            [cycle.id],
        )
        owner.execute(ONE_RECORD_LESS, [founded.organization_id])
    assert seen(urls, founded.organization_id, figures) == [(40, 39, 1, 1)]


@pytest.mark.parametrize("status", ["lost", "won"])
async def test_a_payment_in_another_currency_and_a_dispute_leave_no_difference(shop: Shop, status: str) -> None:
    customer, resources = await shop.customer(), shop.stack.resources
    settings = resources.settings
    resources.settings = settings.model_copy(update={"paystack_quote": "NGN=1612.5"})
    try:
        reference = await shop.paid(customer, "paystack")
    finally:
        resources.settings = settings
    assert (await shop.attempts(customer))[0].amount_minor == 8_062_500
    dispute = await shop.control("paystack/dispute", reference=reference)
    await shop.control("paystack/close-dispute", dispute=dispute["id"], status=status)
    await shop.delivered()
    await shop.work()
    number = (await shop.cycle(customer)).number
    paid = seen(
        shop.stack.urls, customer.founded.organization_id,
        f"select paid_minor, received_minor, difference from ops.payment_reconciliation where number = {number}",
    )  # fmt: skip
    assert paid == ([(0, 0, 0)] if status == "lost" else [(5000, 5000, 0)])
