"""From "pay" to a receipt, with Stripe and with Paystack, and everything that can come between."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from db import payments
from db.payments import NewAttempt
from db.types import SYSTEM, CycleId, Money, new_id
from jobs.payments import review, review_days
from tests.money.shop import Customer, Shop, shop

__all__ = ["shop"]

PROVIDERS = ("stripe", "paystack")


async def paid(shop: Shop, customer: Customer, provider: str = "stripe") -> str:
    """Pay the invoice; the reference of the payment."""
    started = (await customer.pay(provider)).data
    await shop.press(started["payment_url"])
    await shop.work()
    attempts = await shop.attempts(customer)
    return attempts[-1].reference or ""


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


async def test_money_on_a_page_that_could_not_be_closed_is_recorded_and_given_back(shop: Shop) -> None:
    customer = await shop.customer()
    first = (await customer.pay("paystack")).data  # Paystack cannot close a page
    await paid(shop, customer, "stripe")
    await shop.press(first["payment_url"])
    await shop.work()
    await shop.delivered()
    await shop.work()
    paystack, stripe = await shop.attempts(customer)
    assert (stripe.status, paystack.status) == ("succeeded", "refunded")
    assert (paystack.surplus_minor, paystack.refunded_minor) == (5000, 5000)
    cycle = await shop.cycle(customer)
    assert (cycle.status, cycle.paid_minor) == ("paid", 5000)
    assert any("back" in mail.subject.lower() for mail in shop.stack.mails(customer.email))
    assert await shop.differences(customer) == []


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_duplicated_reordered_and_repeated_events_change_nothing(shop: Shop, provider: str) -> None:
    customer = await shop.customer()
    await shop.control(provider, duplicate_webhooks=5, reorder=True)
    await paid(shop, customer, provider)
    await shop.control(provider, reset=True)
    assert (await shop.cycle(customer)).paid_minor == 5000
    assert len([mail for mail in shop.stack.mails(customer.email) if "eceipt" in mail.subject]) == 1
    rows = shop.stack.rows(
        "select kind, count(*) from billing.movements where organization_id = %s group by 1 order by 1",
        customer.founded.organization_id,
    )
    assert rows == [("charge", 1), ("payment", 1)]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_event_that_never_came_is_found_by_asking(shop: Shop, provider: str) -> None:
    customer = await shop.customer()
    await shop.control(provider, drop_webhooks=10)
    await paid(shop, customer, provider)
    await shop.control(provider, reset=True)
    assert (await shop.cycle(customer)).status == "pending"
    shop.stack.clock.turn(minutes=16)
    try:
        await review.run(shop.worker, customer.founded.organization_id)
    finally:
        shop.stack.clock.turn(minutes=-16)
    assert (await shop.cycle(customer)).status == "paid"


async def test_the_daily_look_finds_money_on_an_attempt_that_had_ended(shop: Shop) -> None:
    customer = await shop.customer()
    first = (await customer.pay("paystack")).data
    await customer.pay("stripe")
    await shop.control("paystack", drop_webhooks=10)
    await shop.press(first["payment_url"])
    await shop.control("paystack", reset=True)
    await review_days.run(shop.worker, 0)
    assert (await shop.cycle(customer)).status == "paid"
    await shop.work()
    assert [attempt.status for attempt in await shop.attempts(customer)] == ["succeeded", "expired"], "retired"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_provider_that_is_away_is_a_503_and_the_next_click_goes_on(shop: Shop, provider: str) -> None:
    customer = await shop.customer()
    await shop.control(provider, fail_next=20, status=503)
    refused = await customer.pay(provider)
    await shop.control(provider, reset=True)
    assert refused.code == "SERVICE_UNAVAILABLE"
    assert int(refused.response.headers["retry-after"]) > 0
    assert (await shop.cycle(customer)).status == "pending"
    (await customer.pay(provider)).data  # noqa: B018
    assert [attempt.status for attempt in await shop.attempts(customer)] == ["open"], "the same attempt"
    started = (await customer.pay(provider)).data
    await shop.press(started["payment_url"])
    await shop.work()
    assert (await shop.cycle(customer)).status == "paid"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_answer_lost_on_the_way_opens_no_second_way_to_pay(shop: Shop, provider: str) -> None:
    customer = await shop.customer()
    await shop.control(provider, lose_next=20, status=500)
    assert (await customer.pay(provider)).code == "SERVICE_UNAVAILABLE"
    await shop.control(provider, reset=True)
    await paid(shop, customer, provider)
    assert [attempt.status for attempt in await shop.attempts(customer)] == ["succeeded"]
    assert (await shop.cycle(customer)).paid_minor == 5000


async def test_a_process_killed_before_it_asked_the_provider_leaves_an_attempt_to_go_on_with(shop: Shop) -> None:
    customer = await shop.customer()
    now = shop.stack.clock.now()
    async with shop.stack.resources.database.tenant(customer.founded.organization_id, SYSTEM) as tenant:
        new = NewAttempt(customer.cycle_id, "stripe", "x@example.com", Money(5000), 5000, now + timedelta(hours=20))
        begun = await payments.begin(tenant, new, now)
    assert begun is not None
    await paid(shop, customer)
    attempts = await shop.attempts(customer)
    assert [(attempt.id, attempt.status) for attempt in attempts] == [(begun.id, "succeeded")]


async def test_while_a_provider_is_away_its_events_wait(shop: Shop) -> None:
    customer = await shop.customer()
    started = (await customer.pay("paystack")).data
    await shop.press(started["payment_url"])
    await shop.control("paystack", fail_next=50, status=503)
    await shop.work()
    assert (await shop.cycle(customer)).status == "pending"
    await shop.control("paystack", reset=True)
    await shop.stack.work_again()
    await shop.work()
    assert (await shop.cycle(customer)).status == "paid"


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


async def plant_checkout(shop: Shop, customer: Customer, **changes: Any) -> str:
    """A live attempt whose provider was asked for something else than the attempt says."""
    from jobs.providers.payments import CheckoutRequest

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
    checkout = await shop.worker.payments["stripe"].create_checkout(CheckoutRequest(**{**request, **changes}))
    async with shop.worker.database.tenant(customer.founded.organization_id, SYSTEM) as tenant:
        assert await payments.store_checkout(
            tenant, attempt, checkout.provider_reference, checkout.url, checkout.expires_at, now
        )
    return checkout.url


async def test_a_declined_card_leaves_the_invoice_to_be_paid_by_another_click(shop: Shop) -> None:
    customer = await shop.customer()
    started = (await customer.pay()).data
    await shop.press(started["payment_url"], "decline")
    await shop.work()
    assert (await shop.cycle(customer)).status == "pending"
    await paid(shop, customer)
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


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_refund_at_the_provider_opens_the_invoice_again(shop: Shop, provider: str) -> None:
    customer = await shop.customer()
    reference = await paid(shop, customer, provider)
    client = shop.worker.payments[provider]
    await client.refund(await client.fetch(reference), 2000, "operator")
    await shop.delivered()
    await shop.work()
    cycle = await shop.cycle(customer)
    assert (cycle.status, cycle.paid_minor, cycle.outstanding.minor) == ("pending", 3000, 2000)
    assert await shop.differences(customer) == []


async def test_a_lost_dispute_is_money_given_back_in_whatever_order_its_events_come(shop: Shop) -> None:
    customer = await shop.customer()
    await paid(shop, customer)
    intent = shop.stack.rows(
        "select provider_payment_id from billing.payments where organization_id = %s", customer.founded.organization_id
    )[0][0]
    await shop.control("stripe", hold_webhooks=True)
    dispute = await shop.control("stripe/dispute", payment_intent=intent)
    await shop.control("stripe/close-dispute", dispute=dispute["id"], status="lost")
    await shop.control("stripe", reorder=True, hold_webhooks=False)
    await shop.delivered()
    await shop.control("stripe", reset=True)
    await shop.work()
    attempt = (await shop.attempts(customer))[0]
    assert attempt.charged_back_minor == 5000
    assert (await shop.cycle(customer)).status == "pending"
    assert shop.stack.rows("select is_disputed from billing.payments where id = %s", attempt.id) == [(False,)]
    assert await shop.differences(customer) == []


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
