"""Who sells comes from the settings, and stays on an invoice as it was when that was issued."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time

import asyncpg
import pytest

from db import billing, invoices
from db.invoices import Cycle
from db.types import SYSTEM
from jobs import billing as closing
from jobs import invoice_pdf
from jobs.billing import seller_of
from tests.founding import Founded, found
from tests.money.shop import Shop, shop
from tests.visitors import TurnableClock

__all__ = ["shop"]

BEFORE = {"seller_name": "Difference Engines", "seller_address": "1 Dorset Street; London", "seller_tax_number": "GB 1"}
AFTER = {"seller_name": "Analytical Engines", "seller_address": "Elsewhere 2", "seller_tax_number": None}


async def close_as(shop: Shop, founded: Founded, seller: Mapping[str, str | None], month: date) -> Cycle:
    """A worker with these settings writes the organization's missing invoices; the last of them."""
    settings = shop.worker.settings.model_copy(update=seller)
    await _close(shop, month)
    await closing.close_organization.run(replace(shop.worker, settings=settings), founded.organization_id)
    async with shop.worker.database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        return (await invoices.issued(tenant, 1, 1))[0][0]


async def _close(shop: Shop, month: date) -> None:
    """When it is over."""
    clock = TurnableClock()
    clock.ahead = datetime.combine(billing.next_month(month), time(), UTC) - clock.now()
    await closing.close_until(replace(shop.worker, clock=clock), month)


async def test_a_later_change_of_the_seller_alters_no_issued_invoice(shop: Shop) -> None:
    month = date(2044, 1, 1)
    founded = await found(shop.worker.database, "pro", closing_start(month))
    first = await close_as(shop, founded, BEFORE, month)
    assert (first.seller_name, first.seller_address, first.seller_tax_number) == (
        "Difference Engines", "1 Dorset Street\nLondon", "GB 1",
    )  # fmt: skip
    browser = shop.stack.visitor()
    browser.token, _ = await shop.log_in(founded)
    path = f"/billing/invoices/{first.id}"
    seen = [(await browser.get(path + suffix)).response.content for suffix in ("", ".html", ".pdf")]
    for words in (b"Difference Engines", b"1 Dorset Street", b"London", b"Tax number GB 1"):
        assert words in seen[1], words
    second = await close_as(shop, founded, AFTER, date(2044, 2, 1))
    assert (second.seller_name, second.seller_tax_number) == ("Analytical Engines", None)
    assert [(await browser.get(path + suffix)).response.content for suffix in ("", ".html", ".pdf")] == seen


async def test_the_seller_of_an_issued_invoice_cannot_be_changed_by_anybody(shop: Shop) -> None:
    customer = await shop.customer("pro")
    owner = await asyncpg.connect(shop.stack.urls.superuser)
    for column in ("seller_name", "seller_address", "seller_tax_number"):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await owner.execute(f"update billing.billing_cycles set {column} = 'x' where id = $1", customer.cycle_id)
        assert refused.value.sqlstate == "BIL01", column
    await owner.close()


async def test_an_invoice_from_before_the_seller_was_kept_bears_the_products_name(shop: Shop) -> None:
    founded = await found(shop.worker.database, "pro", closing_start(date(2044, 3, 1)))
    await _close(shop, date(2044, 3, 1))
    async with shop.worker.database.tenant(founded.organization_id, SYSTEM) as tenant:
        cycle = await billing.close_cycle(tenant, date(2044, 3, 1), shop.stack.clock.now(), 14)
    assert cycle is not None
    assert cycle.seller_name is None
    assert b"(MTS)" in await asyncio.to_thread(invoice_pdf.pdf, cycle, [], [])


def test_an_address_is_written_a_line_each(shop: Shop) -> None:
    settings = shop.worker.settings.model_copy(update={"seller_address": " A ;; B;"})
    assert seller_of(settings).address == "A\nB"
    assert seller_of(shop.worker.settings) == billing.Seller("MTS", None, None)


def closing_start(month: date) -> datetime:
    """The first moment of a month."""
    return datetime.combine(month, datetime.min.time(), UTC)
