"""A credit note as its organization has it: as JSON, as a page and on paper, and nobody else's."""

import re
from datetime import timedelta
from typing import Any

from db.credit_notes import credit
from db.types import SYSTEM, Money
from tests.money.owed import SELLER
from tests.money.shop import Customer, Shop, shop

__all__ = ["shop"]

SELLER_WORDS = ("Difference Engines Ltd", "1 Dorset Street", "London W1", "GB 123 4567 89")


async def test_a_credit_note_is_there_as_json_page_and_paper_for_its_organization_alone(shop: Shop) -> None:
    customer = await shop.customer("pro")
    assert (await customer.browser.get("/billing/credit-notes")).data["credit_notes"] == []
    note_id = await credited(shop, customer, 1250, "An outage on <i>3 March</i>")
    listed = (await customer.browser.get("/billing/credit-notes")).data
    note = (await customer.browser.get(f"/billing/credit-notes/{note_id}")).data
    assert listed["credit_notes"] == [note]
    assert (note["amount"], note["settled"], note["balance"], note["reason"]) == (
        12.5, 12.5, 0, "An outage on <i>3 March</i>",
    )  # fmt: skip
    assert re.fullmatch(r"CN-\d{4}-000001", note["number"])
    assert note["seller"] == {"name": SELLER.name, "address": SELLER.address, "tax_number": SELLER.tax_number}
    assert listed["summary"] == {"total_credited": 12.5, "balance": 0, "balance_minor": 0, "currency": "USD"}
    page = (await customer.browser.get(f"/billing/credit-notes/{note_id}.html")).response
    paper = (await customer.browser.get(f"/billing/credit-notes/{note_id}.pdf")).response
    for words in (note["number"], note["invoice_number"], *SELLER_WORDS, "$12.50", "&lt;i&gt;3 March"):
        assert words in page.text, words
    assert (paper.headers["content-type"], paper.content[:5]) == ("application/pdf", b"%PDF-")
    for words in (f"(Credit note {note['number']})", "(Difference Engines Ltd)"):
        assert words.encode() in paper.content, words
    invoice = (await customer.browser.get(f"/billing/invoices/{customer.cycle_id}")).data
    assert invoice["credit_notes"] == [note]
    assert (invoice["credited"], invoice["outstanding"]) == (12.5, 37.5)
    for path in ("", ".html", ".pdf"):
        stranger = (await shop.customer("free")).browser
        assert (await stranger.get(f"/billing/credit-notes/{note_id}{path}")).code == "NOT_FOUND"


async def credited(shop: Shop, customer: Customer, minor: int, reason: str) -> Any:
    async with shop.worker.database.tenant(customer.founded.organization_id, SYSTEM) as tenant:
        now = shop.stack.clock.now() + timedelta(seconds=1)
        return (await credit(tenant, customer.cycle_id, Money(minor), reason, now, SELLER))[0]
