"""Stripe Checkout as the product uses it: opened once, paid, declined, expired, refunded, listed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import stripe

from db.types import Money
from jobs.providers.errors import ProviderRefused, ProviderUnavailable
from jobs.providers.payments import checkout_expiry
from jobs.providers.sandbox import SandboxConfig
from jobs.providers.sandbox.server import running
from jobs.providers.stripe import API_VERSION, StripePayments
from tests.providers.conftest import STRIPE_KEY, STRIPE_SECRET, Control, Order, get, press
from tests.providers.inbox import Inbox


def test_the_pinned_api_version_is_the_one_the_sdk_was_made_for() -> None:
    assert stripe.api_version == API_VERSION


async def test_a_card_payment_goes_from_pending_to_succeeded(stripe_payments: StripePayments, order: Order) -> None:
    request = order()
    checkout = await stripe_payments.create_checkout(request)
    assert checkout.expires_at == request.expires_at.replace(microsecond=0)
    open_state = await stripe_payments.fetch(checkout.provider_reference)
    assert (open_state.status, open_state.provider_payment_id) == ("pending", None)

    assert press(checkout.url, "pay").headers["location"] == request.success_url
    paid = await stripe_payments.fetch(checkout.provider_reference)
    assert (paid.status, paid.amount_minor, paid.currency, paid.livemode) == ("succeeded", 2900, "USD", False)
    assert paid.metadata == request.metadata()
    assert paid.provider_payment_id is not None
    assert await stripe_payments.fetch(paid.provider_payment_id) == paid


async def test_the_payment_that_refunds_and_disputes_carry_names_the_attempt_too(
    stripe_payments: StripePayments, sandbox: str, order: Order
) -> None:
    request = order()
    checkout = await stripe_payments.create_checkout(request)
    press(checkout.url, "pay")
    payment_id = (await stripe_payments.fetch(checkout.provider_reference)).provider_payment_id
    async with httpx.AsyncClient(auth=(STRIPE_KEY, "")) as client:
        found = await client.get(f"{sandbox}/stripe/v1/payment_intents/{payment_id}")
    assert found.json()["metadata"] == request.metadata()


async def test_the_same_attempt_opens_one_checkout(stripe_payments: StripePayments, order: Order) -> None:
    request = order()
    first = await stripe_payments.create_checkout(request)
    assert await stripe_payments.create_checkout(request) == first
    with pytest.raises(ProviderRefused) as refused:
        await stripe_payments.create_checkout(replace(request, amount=Money(5000, "USD")))
    assert refused.value.code == "idempotency_key_reused"


async def test_an_answer_lost_on_the_way_is_found_again(
    stripe_payments: StripePayments, order: Order, control: Control
) -> None:
    control("stripe", lose_next=1)
    request = order()
    checkout = await stripe_payments.create_checkout(request)
    listed = [state async for state in stripe_payments.list_payments(datetime.now(UTC) - timedelta(minutes=1))]
    assert [state.reference for state in listed] == [checkout.provider_reference]


async def test_a_declined_card_leaves_the_checkout_open(
    stripe_payments: StripePayments, order: Order, inbox: Inbox
) -> None:
    request = order()
    checkout = await stripe_payments.create_checkout(request)
    assert press(checkout.url, "decline").headers["location"] == request.cancel_url
    assert (await stripe_payments.fetch(checkout.provider_reference)).status == "pending"
    declined = inbox.wait_for(b"payment_intent.payment_failed")
    assert stripe_payments.parse_webhook(declined.body, declined.headers, datetime.now(UTC)).type == "unknown"
    press(checkout.url, "pay")
    assert (await stripe_payments.fetch(checkout.provider_reference)).status == "succeeded"


@pytest.mark.parametrize(("outcome", "status"), [("succeeded", "succeeded"), ("failed", "failed")])
async def test_a_bank_debit_completes_unpaid_and_is_decided_later(
    stripe_payments: StripePayments, order: Order, control: Control, outcome: str, status: str
) -> None:
    checkout = await stripe_payments.create_checkout(order())
    press(checkout.url, "later")
    assert (await stripe_payments.fetch(checkout.provider_reference)).status == "pending"
    control("stripe/settle", session=checkout.provider_reference, outcome=outcome)
    assert (await stripe_payments.fetch(checkout.provider_reference)).status == status


async def test_an_expired_checkout_cannot_be_paid(stripe_payments: StripePayments, order: Order) -> None:
    checkout = await stripe_payments.create_checkout(order())
    await stripe_payments.expire(checkout.provider_reference)
    await stripe_payments.expire(checkout.provider_reference)
    assert press(checkout.url, "pay").status_code == 409
    assert (await stripe_payments.fetch(checkout.provider_reference)).status == "expired"


async def test_a_paid_checkout_is_not_expired(stripe_payments: StripePayments, order: Order) -> None:
    checkout = await stripe_payments.create_checkout(order())
    press(checkout.url, "pay")
    with pytest.raises(ProviderRefused) as refused:
        await stripe_payments.expire(checkout.provider_reference)
    assert refused.value.code == "already_paid"


async def test_refunds_add_up_and_a_key_refunds_once(stripe_payments: StripePayments, order: Order) -> None:
    checkout = await stripe_payments.create_checkout(order())
    press(checkout.url, "pay")
    payment = await stripe_payments.fetch(checkout.provider_reference)
    part = await stripe_payments.refund(payment, 900, "refund-1")
    assert (part.status, part.amount_minor, part.currency) == ("succeeded", 900, "USD")
    assert await stripe_payments.refund(payment, 900, "refund-1") == part
    partly = await stripe_payments.fetch(checkout.provider_reference)
    assert (partly.status, partly.refunded_minor) == ("succeeded", 900)
    with pytest.raises(ProviderRefused):
        await stripe_payments.refund(payment, 2001, "refund-2")
    await stripe_payments.refund(payment, 2000, "refund-3")
    whole = await stripe_payments.fetch(checkout.provider_reference)
    assert (whole.status, whole.refunded_minor) == ("refunded", 2900)


async def test_nothing_paid_is_nothing_to_refund(stripe_payments: StripePayments, order: Order) -> None:
    checkout = await stripe_payments.create_checkout(order())
    with pytest.raises(ProviderRefused) as refused:
        await stripe_payments.refund(await stripe_payments.fetch(checkout.provider_reference), 1, "r")
    assert refused.value.code == "nothing_paid"


async def test_the_reconciler_sees_every_checkout_over_many_pages(
    stripe_payments: StripePayments, order: Order
) -> None:
    opened = {(await stripe_payments.create_checkout(order())).provider_reference for _ in range(103)}
    since = datetime.now(UTC) - timedelta(minutes=5)
    assert {state.reference async for state in stripe_payments.list_payments(since)} == opened
    assert [state async for state in stripe_payments.list_payments(since + timedelta(hours=1))] == []


async def test_a_wrong_key_is_refused(sandbox: str, order: Order) -> None:
    provider = StripePayments("sk_test_wrong", STRIPE_SECRET, f"{sandbox}/stripe")
    with pytest.raises(ProviderRefused) as refused:
        await provider.create_checkout(order())
    assert refused.value.code == "authentication"
    await provider.close()


async def test_an_unknown_reference_is_refused(stripe_payments: StripePayments) -> None:
    for reference in ("cs_test_nothing", "pi_nothing"):
        with pytest.raises(ProviderRefused) as refused:
            await stripe_payments.fetch(reference)
        assert refused.value.code == "resource_missing"


async def test_a_slow_provider_is_unavailable(sandbox: str, order: Order, control: Control) -> None:
    control("stripe", delay_ms=600)
    provider = StripePayments(STRIPE_KEY, STRIPE_SECRET, f"{sandbox}/stripe", timeout=0.2, retries=0)
    with pytest.raises(ProviderUnavailable):
        await provider.create_checkout(order())
    await provider.close()


async def test_a_broken_provider_is_retried_once_and_then_unavailable(
    stripe_payments: StripePayments, order: Order, control: Control
) -> None:
    control("stripe", fail_next=1)
    await stripe_payments.create_checkout(order())
    control("stripe", fail_next=2)
    with pytest.raises(ProviderUnavailable):
        await stripe_payments.create_checkout(order())


async def test_too_many_requests_say_when_to_come_back(
    stripe_payments: StripePayments, order: Order, control: Control
) -> None:
    control("stripe", fail_next=1, status=429, retry_after=7)
    with pytest.raises(ProviderUnavailable) as unavailable:
        await stripe_payments.create_checkout(order())
    assert unavailable.value.retry_after == 7


async def test_an_unreachable_provider_is_unavailable(order: Order) -> None:
    provider = StripePayments(STRIPE_KEY, STRIPE_SECRET, "http://127.0.0.1:9", retries=0)
    with pytest.raises(ProviderUnavailable):
        await provider.create_checkout(order())
    await provider.close()


async def test_what_stripe_would_refuse_is_refused(stripe_payments: StripePayments, order: Order) -> None:
    with pytest.raises(ProviderRefused) as refused:
        await stripe_payments.create_checkout(order(amount=Money(49, "USD")))
    assert refused.value.code == "amount_too_small"
    assert stripe_payments.minimum_minor("USD") == 50
    for life in (timedelta(minutes=5), timedelta(days=2)):
        with pytest.raises(ProviderRefused):
            await stripe_payments.create_checkout(order(expires_at=datetime.now(UTC) + life))


@pytest.mark.parametrize("wanted", [timedelta(), timedelta(hours=2), timedelta(days=9)])
async def test_an_expiry_made_by_the_rule_is_accepted(
    stripe_payments: StripePayments, order: Order, wanted: timedelta
) -> None:
    await stripe_payments.create_checkout(order(expires_at=checkout_expiry(datetime.now(UTC), wanted)))


def test_live_keys_are_known_by_their_name() -> None:
    assert StripePayments("sk_live_1", None, "https://api.stripe.com").livemode
    assert StripePayments("rk_live_1", None, "https://api.stripe.com").livemode
    assert not StripePayments("sk_test_1", None, "https://api.stripe.com").accepts_webhooks


async def test_sessions_and_payments_survive_a_restart(config: SandboxConfig, order: Order) -> None:
    with running(config) as base:
        provider = StripePayments(STRIPE_KEY, STRIPE_SECRET, f"{base}/stripe")
        checkout = await provider.create_checkout(order())
        press(checkout.url, "pay")
        await provider.close()
    with running(config) as base:
        provider = StripePayments(STRIPE_KEY, STRIPE_SECRET, f"{base}/stripe")
        assert (await provider.fetch(checkout.provider_reference)).status == "succeeded"
        assert get(base).status_code == 200
        await provider.close()
