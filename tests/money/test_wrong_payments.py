"""Money that is not what was asked for, or not from whom, pays nothing."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from db import payments
from db.payments import Attempt, NewAttempt
from db.types import SYSTEM, Money, new_id
from jobs import settlement
from jobs.providers.payments import Checkout, CheckoutRequest
from tests.money.shop import Customer, Shop, shop

__all__ = ["shop"]


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"amount": Money(4999)}, "wrong_amount"),
        ({"amount": Money(5000, "EUR")}, "wrong_currency"),
    ],
)
async def test_a_payment_of_another_amount_or_currency_pays_nothing(
    shop: Shop, change: dict[str, Any], outcome: str
) -> None:
    customer = await shop.customer()
    page = await plant_checkout(shop, customer, **change)
    await shop.press(page)
    await shop.work()
    assert (await shop.cycle(customer)).status == "pending"
    assert set(shop.outcomes(customer)) == {outcome}


async def test_a_payment_that_names_another_organization_pays_nothing(shop: Shop) -> None:
    customer, other = await shop.customer(), await shop.customer()
    page = await plant_checkout(shop, customer, organization_id=other.founded.organization_id)
    await shop.press(page)
    await shop.work()
    assert [(await shop.cycle(each)).status for each in (customer, other)] == ["pending", "pending"]
    assert set(shop.outcomes(customer)) == {"wrong_organization"}


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({}, None),
        ({"livemode": True}, "wrong_mode"),
        ({"amount_minor": 4999}, "wrong_amount"),
        ({"amount_minor": 5001}, "wrong_amount"),
        ({"currency": "NGN"}, "wrong_currency"),
        ({"reference": "cs_of_another"}, "wrong_organization"),
        ({"metadata": {"attempt_id": str(new_id())}}, "wrong_organization"),
        ({"metadata": {"billing_cycle_id": str(new_id())}}, "wrong_organization"),
        ({"metadata": {"organization_id": str(new_id())}}, "wrong_organization"),
        ({"metadata": {"note": "of another shop"}}, None),
    ],
)
async def test_each_check_alone_keeps_a_payment_from_its_invoice(
    shop: Shop, change: dict[str, Any], outcome: str | None
) -> None:
    customer = await shop.customer()
    await customer.pay()
    (attempt,) = await shop.attempts(customer)
    provider = shop.worker.payments["stripe"]
    truth = await provider.fetch(attempt.reference or "")
    said = replace(truth, status="succeeded", provider_payment_id="pi_1", **change)
    async with shop.worker.database.tenant(customer.founded.organization_id, SYSTEM) as tenant:
        assert await settlement.settle(shop.worker, tenant, attempt.id, said) == (outcome or "applied")
    assert (await shop.cycle(customer)).status == ("pending" if outcome else "paid")


async def plant_checkout(shop: Shop, customer: Customer, **changes: Any) -> str:
    """A live attempt whose provider was asked for something else than the attempt says."""
    attempt, checkout = await begin_checkout(shop, customer, **changes)
    async with shop.worker.database.tenant(customer.founded.organization_id, SYSTEM) as tenant:
        assert await payments.store_checkout(
            tenant, attempt, checkout.provider_reference, checkout.url, checkout.expires_at, shop.stack.clock.now()
        )
    return checkout.url


async def begin_checkout(shop: Shop, customer: Customer, **changes: Any) -> tuple[Attempt, Checkout]:
    """A live attempt that its provider has a page for, of which we have not heard."""
    now = shop.stack.clock.now()
    expires = now + timedelta(hours=20)
    async with shop.worker.database.tenant(customer.founded.organization_id, SYSTEM) as tenant:
        new = NewAttempt(customer.cycle_id, "stripe", "x@example.com", Money(5000), 5000, expires)
        attempt = await payments.begin(tenant, new, now)
    assert attempt is not None
    request: dict[str, Any] = {
        "attempt_id": attempt.id, "organization_id": customer.founded.organization_id,
        "billing_cycle_id": customer.cycle_id, "invoice_number": "1", "amount": Money(5000),
        "customer_email": "x@example.com", "success_url": "https://x.example/", "cancel_url": "https://x.example/",
        "expires_at": expires,
    }  # fmt: skip
    return attempt, await shop.worker.payments["stripe"].create_checkout(CheckoutRequest(**{**request, **changes}))


@pytest.mark.parametrize(("is_paid", "outcome"), [(False, "ignored"), (True, "unmatched")])
async def test_a_page_whose_address_never_came_back_matters_only_when_it_was_paid(
    shop: Shop, is_paid: bool, outcome: str
) -> None:
    customer = await shop.customer()
    _, checkout = await begin_checkout(shop, customer)
    if is_paid:
        await shop.press(checkout.url)
    else:
        await shop.worker.payments["stripe"].expire(checkout.provider_reference)
        await shop.delivered()
    await shop.work()
    found = "select outcome from billing.payment_events where reference = %s and type <> 'unknown'"
    assert {row[0] for row in shop.stack.rows(found, checkout.provider_reference)} == {outcome}
