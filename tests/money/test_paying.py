"""From "pay" to a receipt, with Stripe and with Paystack: one way to pay at a time, for what is owed."""

import asyncio
from dataclasses import replace

import pytest

from db.types import CycleId, new_id
from settings import Settings
from tests.money.shop import Shop, shop
from tests.stack import serving

__all__ = ["shop"]

PROVIDERS = ("stripe", "paystack")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_invoice_is_mailed_paid_and_receipted(shop: Shop, provider: str) -> None:
    customer = await shop.customer("pro")
    await shop.work()
    assert "nvoice" in shop.stack.mails(customer.email)[0].subject
    started = (await customer.pay(provider)).data
    assert started["amount"] == 50.0
    assert (started["currency"], started["provider"], started["status"]) == ("USD", provider, "pending")
    assert started["billing_cycle_id"] == str(customer.cycle_id)
    await shop.press(started["payment_url"])
    assert (await shop.cycle(customer)).status == "pending", "only the job marks it"
    await shop.work()
    entry = (await customer.browser.get("/billing/history")).data["invoices"][0]
    assert entry["status"] == "paid"
    assert entry["paid_at"] is not None
    assert "eceipt" in shop.stack.mails(customer.email)[0].subject
    assert await shop.differences(customer) == []


async def test_a_second_click_gives_the_same_page(shop: Shop) -> None:
    customer = await shop.customer()
    first, second = [(await customer.pay()).data for _ in range(2)]
    assert first["payment_url"] == second["payment_url"]
    assert len(await shop.attempts(customer)) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_twenty_clicks_at_once_open_one_way_to_pay(shop: Shop, provider: str) -> None:
    customer = await shop.customer()
    answers = await asyncio.gather(*(customer.pay(provider) for _ in range(20)))
    assert {answer.code for answer in answers} <= {"OK", "CONFLICT"}
    assert len({answer.data["payment_url"] for answer in answers if answer.code == "OK"}) == 1
    assert [attempt.status for attempt in await shop.attempts(customer)] == ["open"]


async def test_another_provider_closes_the_first_ones_page(shop: Shop) -> None:
    customer = await shop.customer()
    first = (await customer.pay("stripe")).data
    second = (await customer.pay("paystack")).data
    assert first["payment_url"] != second["payment_url"]
    await shop.press(first["payment_url"])
    await shop.work()
    assert (await shop.cycle(customer)).status == "pending", "the closed page takes no money"
    assert [attempt.status for attempt in await shop.attempts(customer)] == ["expired", "open"]
    await shop.press(second["payment_url"])
    await shop.work()
    assert (await shop.cycle(customer)).status == "paid"


async def test_a_declined_card_leaves_the_invoice_to_be_paid_by_another_click(shop: Shop) -> None:
    customer = await shop.customer()
    started = (await customer.pay()).data
    await shop.press(started["payment_url"], "decline")
    await shop.work()
    assert (await shop.cycle(customer)).status == "pending"
    await shop.paid(customer)
    assert (await shop.cycle(customer)).status == "paid"


async def test_an_expired_page_is_replaced_by_a_new_one(shop: Shop) -> None:
    customer = await shop.customer()
    first = (await customer.pay()).data
    shop.stack.rows(
        "update billing.payments set expires_at = now() - interval '1 minute' where organization_id = %s returning 1",
        customer.founded.organization_id,
    )
    second = (await customer.pay()).data
    assert first["payment_url"] != second["payment_url"]
    assert [attempt.status for attempt in await shop.attempts(customer)] == ["expired", "open"]


@pytest.mark.parametrize("how", ["paid", "parked", "foreign", "unknown"])
async def test_what_is_not_owed_cannot_be_paid(shop: Shop, how: str) -> None:
    customer = await shop.customer("free" if how == "paid" else "pro")
    cycle_id = customer.cycle_id
    if how == "foreign":
        cycle_id = (await shop.customer()).cycle_id
    elif how == "unknown":
        cycle_id = CycleId(new_id())
    elif how == "parked":
        shop.stack.rows(
            "insert into billing.billing_cycles (organization_id, id, period_start, period_end, organization_name,"
            " organization_email, plan, currency, total_requests, total_amount_minor, status)"
            " values (%s, %s, '2020-01-01', '2020-02-01', 'x', 'x', 'pro', 'USD', 0, 5000, 'parked') returning 1",
            customer.founded.organization_id, cycle_id := CycleId(new_id()),
        )  # fmt: skip
    answer = await customer.pay(cycle_id=cycle_id)
    assert answer.code == ("CONFLICT" if how == "paid" else "NOT_FOUND")


async def test_an_amount_below_the_providers_minimum_is_refused_by_name(shop: Shop) -> None:
    customer = await shop.customer()
    shop.stack.rows(
        "insert into billing.billing_cycles (organization_id, id, period_start, period_end, organization_name,"
        " organization_email, plan, currency, total_requests, total_amount_minor, status, number, issued_at, due_date)"
        " values (%s, %s, '2020-01-01', '2020-02-01', 'x', 'x@example.com', 'pro', 'USD', 0, 150, 'pending', 9, now(),"
        " now()) returning 1",
        customer.founded.organization_id, cycle_id := CycleId(new_id()),
    )  # fmt: skip
    refused = await customer.pay("paystack", cycle_id)
    assert (refused.code, refused.error["details"]["field"]) == ("VALIDATION_ERROR", "provider")
    assert (await customer.pay("stripe", cycle_id)).code == "OK"


async def test_a_dollar_invoice_paid_in_naira_keeps_its_quote(shop: Shop) -> None:
    resources = shop.stack.resources
    settings = resources.settings
    resources.settings = settings.model_copy(update={"paystack_quote": "NGN=1612.5"})
    try:
        customer = await shop.customer()
        started = (await customer.pay("paystack")).data
    finally:
        resources.settings = settings
    assert (started["amount"], started["currency"]) == (80_625.0, "NGN")
    await shop.press(started["payment_url"])
    await shop.work()
    cycle, (attempt,) = await shop.cycle(customer), await shop.attempts(customer)
    assert (cycle.status, cycle.paid_minor) == ("paid", 5000)
    assert (attempt.amount_minor, attempt.currency, attempt.invoice_minor) == (8_062_500, "NGN", 5000)
    assert await shop.differences(customer) == []


async def test_a_provider_that_is_not_configured_is_refused_by_name(shop: Shop) -> None:
    customer = await shop.customer()
    without = Settings.model_validate(shop.stack.settings.model_dump() | {"paystack_secret_key": None})
    async with serving(without, shop.stack.clock) as (http, _):
        visitor = shop.stack.visitor(http)
        visitor.token = customer.browser.token
        refused = await replace(customer, browser=visitor).pay("paystack")
        assert (refused.status, refused.code) == (400, "VALIDATION_ERROR")
        assert refused.error["details"]["field"] == "provider"
    assert await shop.attempts(customer) == []


async def test_an_idempotency_key_gives_the_first_answer_again(shop: Shop) -> None:
    customer, key = await shop.customer(), str(new_id())
    body = {"billing_cycle_id": str(customer.cycle_id), "provider": "stripe"}
    first = await customer.browser.post("/billing/initiate-payment", body, Idempotency_Key=key)
    again = await customer.browser.post("/billing/initiate-payment", body, Idempotency_Key=key)
    assert again.data == first.data
    assert again.response.headers["idempotent-replayed"] == "true"
    other = await customer.browser.post(
        "/billing/initiate-payment", body | {"provider": "paystack"}, Idempotency_Key=key
    )
    assert (other.status, other.code) == (422, "IDEMPOTENCY_KEY_REUSED")
    twins = await asyncio.gather(
        *(customer.browser.post("/billing/upgrade", {"plan": "free"}, Idempotency_Key=f"{key}-2") for _ in range(5))
    )
    assert {twin.status for twin in twins} == {200}
    assert sorted(twin.response.headers.get("idempotent-replayed", "") for twin in twins) == ["", *["true"] * 4]
    assert len(await shop.attempts(customer)) == 1
