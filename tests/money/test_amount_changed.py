"""What is owed for an invoice changes while somebody pays it: what is charged is owed, or goes back."""

import pytest

from db.credit_notes import credit
from db.types import SYSTEM, Money
from jobs import settlement
from tests.money.shop import Customer, Shop, shop

__all__ = ["shop"]

PROVIDERS = ("stripe", "paystack")


async def corrected(shop: Shop, customer: Customer) -> None:
    """Twenty dollars less are owed."""
    async with shop.worker.database.tenant(customer.founded.organization_id, SYSTEM) as tenant:
        await credit(tenant, customer.cycle_id, Money(2000), "an outage", shop.stack.clock.now())


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_changed_amount_is_a_new_attempt(shop: Shop, provider: str) -> None:
    customer = await shop.customer()
    before = (await customer.pay(provider)).data
    await corrected(shop, customer)
    after = (await customer.pay(provider)).data
    assert (before["amount"], after["amount"]) == (50.0, 30.0)
    assert before["payment_url"] != after["payment_url"]
    await shop.press(after["payment_url"])
    await shop.work()
    attempts = [(attempt.status, attempt.amount_minor) for attempt in await shop.attempts(customer)]
    assert attempts == [("expired", 5000), ("succeeded", 3000)]
    cycle = await shop.cycle(customer)
    assert (cycle.status, cycle.paid_minor, cycle.outstanding.minor) == ("paid", 3000, 0)
    assert await shop.differences(customer) == []


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_money_on_the_page_from_before_is_kept_as_far_as_it_is_owed(shop: Shop, provider: str) -> None:
    customer = await shop.customer()
    page = (await customer.pay(provider)).data["payment_url"]
    await corrected(shop, customer)
    await shop.press(page)
    await shop.work()
    await shop.delivered()
    await shop.work()
    (attempt,) = await shop.attempts(customer)
    assert (attempt.status, attempt.surplus_minor, attempt.refunded_minor) == ("succeeded", 2000, 2000)
    cycle = await shop.cycle(customer)
    assert (cycle.status, cycle.paid_minor, cycle.outstanding.minor) == ("paid", 3000, 0)
    assert [mail for mail in shop.stack.mails(customer.email) if "back" in mail.subject.lower()]
    assert await shop.differences(customer) == []


async def test_what_came_twice_stays_when_it_is_owed_again_before_the_job_gives_it_back(shop: Shop) -> None:
    customer = await shop.customer()
    page = (await customer.pay("paystack")).data["payment_url"]  # Paystack cannot close a page
    reference = await shop.paid(customer, "stripe")
    await shop.press(page)
    second, first = await shop.attempts(customer)
    await settlement.ask(shop.worker, customer.founded.organization_id, second)
    assert (await shop.attempts(customer))[0].surplus_minor == 5000, "a job will give it back"
    client = shop.worker.payments["stripe"]
    await client.refund(await client.fetch(reference), 5000, f"operator-{customer.cycle_id}")
    await settlement.ask(shop.worker, customer.founded.organization_id, first)
    await shop.work()
    await shop.delivered()
    await shop.work()
    assert [attempt.refunded_minor for attempt in await shop.attempts(customer)] == [0, 5000]
    cycle = await shop.cycle(customer)
    assert (cycle.status, cycle.paid_minor) == ("paid", 5000)
    assert await shop.differences(customer) == []
