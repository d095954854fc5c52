"""Providers that repeat themselves, forget, are away or lose their answers: the books come out the same."""

from datetime import timedelta

import pytest

from db import payments
from db.payments import NewAttempt
from db.types import SYSTEM, Money
from jobs.payments import review, review_days
from tests.money.shop import Shop, shop

__all__ = ["shop"]

PROVIDERS = ("stripe", "paystack")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_duplicated_reordered_and_repeated_events_change_nothing(shop: Shop, provider: str) -> None:
    customer = await shop.customer()
    await shop.control(provider, duplicate_webhooks=5, reorder=True)
    await shop.paid(customer, provider)
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
    await shop.paid(customer, provider)
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
    await shop.paid(customer, provider)
    assert [attempt.status for attempt in await shop.attempts(customer)] == ["succeeded"]
    assert (await shop.cycle(customer)).paid_minor == 5000


async def test_a_process_killed_before_it_asked_the_provider_leaves_an_attempt_to_go_on_with(shop: Shop) -> None:
    customer = await shop.customer()
    now = shop.stack.clock.now()
    async with shop.stack.resources.database.tenant(customer.founded.organization_id, SYSTEM) as tenant:
        new = NewAttempt(customer.cycle_id, "stripe", "x@example.com", Money(5000), 5000, now + timedelta(hours=20))
        begun = await payments.begin(tenant, new, now)
    assert begun is not None
    await shop.paid(customer)
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
