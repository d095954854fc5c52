"""Paystack as the product uses it, and the odd things that it sends."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.types import Money
from jobs.providers.errors import ProviderRefused, ProviderUnavailable, SignatureError
from jobs.providers.paystack import PaystackPayments
from jobs.providers.paystack_events import parse_event, sign
from tests.providers.conftest import PAYSTACK_KEY, Control, Order, get, post, press
from tests.providers.inbox import Inbox

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def test_a_payment_goes_from_pending_to_succeeded(paystack_payments: PaystackPayments, order: Order) -> None:
    request = order()
    checkout = await paystack_payments.create_checkout(request)
    assert checkout.provider_reference == str(request.attempt_id)
    assert (await paystack_payments.fetch(checkout.provider_reference)).status == "pending"
    returned = press(checkout.url, "pay").headers["location"]
    reference = checkout.provider_reference
    assert returned == f"{request.success_url}?trxref={reference}&reference={reference}"
    paid = await paystack_payments.fetch(reference)
    assert (paid.status, paid.amount_minor, paid.currency, paid.livemode) == ("succeeded", 2900, "USD", False)
    assert request.metadata().items() <= paid.metadata.items()


async def test_an_opened_page_whose_answer_was_lost_is_opened_anew(
    paystack_payments: PaystackPayments, order: Order, control: Control
) -> None:
    request = order()
    control("paystack", lose_next=1)
    with pytest.raises(ProviderUnavailable) as lost:
        await paystack_payments.create_checkout(request)
    assert lost.value.uncertain
    checkout = await paystack_payments.create_checkout(request)
    assert checkout.provider_reference.startswith(f"{request.attempt_id}.")
    press(checkout.url, "pay")
    assert (await paystack_payments.fetch(checkout.provider_reference)).status == "succeeded"
    assert (await paystack_payments.fetch(str(request.attempt_id))).status == "pending"


async def test_a_decline_returns_to_the_shop_and_posts_nothing(
    paystack_payments: PaystackPayments, order: Order, inbox: Inbox
) -> None:
    request = order()
    checkout = await paystack_payments.create_checkout(request)
    assert press(checkout.url, "decline").headers["location"] == request.cancel_url
    assert (await paystack_payments.fetch(checkout.provider_reference)).status == "failed"
    press(checkout.url, "pay")
    assert json.loads(inbox.wait(1)[0].body)["event"] == "charge.success"


async def test_only_a_paid_checkout_refuses_to_expire(paystack_payments: PaystackPayments, order: Order) -> None:
    checkout = await paystack_payments.create_checkout(order())
    await paystack_payments.expire(checkout.provider_reference)
    press(checkout.url, "pay")
    with pytest.raises(ProviderRefused) as refused:
        await paystack_payments.expire(checkout.provider_reference)
    assert refused.value.code == "already_paid"


async def test_refunds_add_up_and_a_key_refunds_once(
    paystack_payments: PaystackPayments, order: Order, control: Control
) -> None:
    checkout = await paystack_payments.create_checkout(order())
    press(checkout.url, "pay")
    payment = await paystack_payments.fetch(checkout.provider_reference)
    part = await paystack_payments.refund(payment, 900, "refund-1")
    assert (part.amount_minor, part.currency) == (900, "USD")
    assert (await paystack_payments.refund(payment, 900, "refund-1")).refund_id == part.refund_id
    partly = await paystack_payments.fetch(checkout.provider_reference)
    assert (partly.status, partly.refunded_minor) == ("succeeded", 900)
    with pytest.raises(ProviderRefused):
        await paystack_payments.refund(payment, 2001, "refund-2")
    await paystack_payments.refund(payment, 2000, "refund-3")
    whole = await paystack_payments.fetch(checkout.provider_reference)
    assert (whole.status, whole.refunded_minor) == ("refunded", 2900)


async def test_a_refund_whose_answer_was_lost_is_found_by_its_key(
    paystack_payments: PaystackPayments, order: Order, control: Control
) -> None:
    checkout = await paystack_payments.create_checkout(order())
    press(checkout.url, "pay")
    payment = await paystack_payments.fetch(checkout.provider_reference)
    control("paystack", lose_next=1, only_posts=True)
    with pytest.raises(ProviderUnavailable) as lost:
        await paystack_payments.refund(payment, 900, "refund-1")
    assert lost.value.uncertain
    await paystack_payments.refund(payment, 900, "refund-1")
    assert (await paystack_payments.fetch(payment.reference)).refunded_minor == 900


async def test_a_refund_is_processed_and_its_events_are_told_apart(
    paystack_payments: PaystackPayments, order: Order, inbox: Inbox
) -> None:
    checkout = await paystack_payments.create_checkout(order())
    press(checkout.url, "pay")
    payment = await paystack_payments.fetch(checkout.provider_reference)
    await paystack_payments.refund(payment, 900, "refund-1")
    found = [inbox.wait_for(word) for word in (b"refund.pending", b"refund.processed")]
    events = [paystack_payments.parse_webhook(posted.body, posted.headers, NOW) for posted in found]
    assert [event.type for event in events] == ["refund", "refund"]
    assert {event.reference for event in events} == {checkout.provider_reference}
    assert len({event.event_id for event in events}) == 2
    assert (await paystack_payments.refund(payment, 900, "refund-1")).status == "succeeded"


async def test_the_reconciler_sees_every_transaction_and_its_refunds(
    paystack_payments: PaystackPayments, order: Order
) -> None:
    opened = [await paystack_payments.create_checkout(order()) for _ in range(101)]
    press(opened[3].url, "pay")
    await paystack_payments.refund(await paystack_payments.fetch(opened[3].provider_reference), 100, "r")
    since = datetime.now(UTC) - timedelta(minutes=5)
    states = {state.reference: state async for state in paystack_payments.list_payments(since)}
    assert set(states) == {checkout.provider_reference for checkout in opened}
    assert (states[opened[3].provider_reference].status, states[opened[3].provider_reference].refunded_minor) == (
        "succeeded",
        100,
    )
    assert [state async for state in paystack_payments.list_payments(since + timedelta(hours=1))] == []


@pytest.mark.parametrize("odd", ["zero", "empty", "null"])
async def test_metadata_may_be_anything(
    paystack_payments: PaystackPayments, order: Order, control: Control, inbox: Inbox, odd: str
) -> None:
    control("paystack", metadata_as=odd)
    checkout = await paystack_payments.create_checkout(order())
    press(checkout.url, "pay")
    assert (await paystack_payments.fetch(checkout.provider_reference)).metadata == {}
    posted = inbox.wait(1)[0]
    event = paystack_payments.parse_webhook(posted.body, posted.headers, NOW)
    assert (event.type, event.reference) == ("payment_succeeded", checkout.provider_reference)


async def test_what_paystack_would_refuse_is_refused(
    sandbox: str, paystack_payments: PaystackPayments, order: Order
) -> None:
    refusals = {"unsupported_currency": Money(2900, "EUR"), "invalid_amount": Money(199, "USD")}
    for code, amount in refusals.items():
        with pytest.raises(ProviderRefused) as refused:
            await paystack_payments.create_checkout(order(amount=amount))
        assert refused.value.code == code
    assert paystack_payments.currencies == {"GHS", "KES", "NGN", "USD", "ZAR"}
    answer = post(
        f"{sandbox}/paystack/transaction/initialize",
        headers={"authorization": f"Bearer {PAYSTACK_KEY}"},
        json={"email": "a@example.org", "amount": "5000", "reference": "no_underscore"},
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_reference")
    for reference, code in (("never-seen", "transaction_not_found"), ("a/b?c", "unknown_endpoint")):
        with pytest.raises(ProviderRefused) as unknown:
            await paystack_payments.fetch(reference)
        assert unknown.value.code == code


async def test_a_wrong_key_is_refused(sandbox: str, order: Order) -> None:
    provider = PaystackPayments("sk_test_wrong", f"{sandbox}/paystack")
    with pytest.raises(ProviderRefused) as refused:
        await provider.create_checkout(order())
    assert refused.value.code == "authentication"
    await provider.close()


async def test_reads_are_repeated_and_writes_are_not(
    sandbox: str, paystack_payments: PaystackPayments, order: Order, control: Control
) -> None:
    checkout = await paystack_payments.create_checkout(order())
    control("paystack", fail_next=2)
    await paystack_payments.fetch(checkout.provider_reference)
    before = control("paystack", fail_next=1)["requests"]
    with pytest.raises(ProviderUnavailable) as broken:
        await paystack_payments.create_checkout(order())
    assert broken.value.uncertain
    assert get(f"{sandbox}/control").json()["paystack"]["requests"] == before + 1


async def test_a_slow_or_unreachable_provider_is_unavailable(sandbox: str, order: Order, control: Control) -> None:
    control("paystack", delay_ms=600)
    for base, uncertain in ((f"{sandbox}/paystack", True), ("http://127.0.0.1:9", False)):
        provider = PaystackPayments(PAYSTACK_KEY, base, timeout=0.2, retries=1)
        with pytest.raises(ProviderUnavailable) as unavailable:
            await provider.create_checkout(order())
        assert unavailable.value.uncertain is uncertain
        await provider.close()


def charge(**changes: Any) -> bytes:
    data = {"id": 302961, "domain": "live", "status": "success", "reference": "ref-1", "metadata": 0}
    return json.dumps({"event": "charge.success", "data": {**data, **changes}}).encode()


def test_a_signed_event_is_believed() -> None:
    body = charge(paid_at="2026-11-23T10:00:00.000Z")
    found = parse_event(body, {"X-Paystack-Signature": sign(body, PAYSTACK_KEY)}, PAYSTACK_KEY, NOW)
    assert (found.event_id, found.type, found.reference) == ("charge.success:302961", "payment_succeeded", "ref-1")
    assert (found.livemode, found.occurred_at) == (True, datetime(2026, 11, 23, 10, tzinfo=UTC))


@pytest.mark.parametrize("signature", ["", "00", "é", "ff" * 64])
def test_a_wrong_signature_is_refused(signature: str) -> None:
    with pytest.raises(SignatureError):
        parse_event(charge(), {"x-paystack-signature": signature}, PAYSTACK_KEY, NOW)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'{"event": "x"}', b"\xff"])
def test_signed_nonsense_is_refused_and_breaks_nothing(body: bytes) -> None:
    with pytest.raises(SignatureError) as refused:
        parse_event(body, {"x-paystack-signature": sign(body, PAYSTACK_KEY)}, PAYSTACK_KEY, NOW)
    assert refused.value.fault == "malformed"


@pytest.mark.parametrize("moment", [None, 0, "soon", "2026-11-23T10:00:00"])
def test_an_event_without_a_clear_time_happened_now(moment: object) -> None:
    body = charge(paid_at=moment)
    found = parse_event(body, {"x-paystack-signature": sign(body, PAYSTACK_KEY)}, PAYSTACK_KEY, NOW)
    assert found.occurred_at == NOW


async def test_a_dispute_names_its_transaction(
    paystack_payments: PaystackPayments, order: Order, control: Control, inbox: Inbox
) -> None:
    checkout = await paystack_payments.create_checkout(order())
    press(checkout.url, "pay")
    control("paystack/dispute", reference=checkout.provider_reference)
    posted = inbox.wait_for(b"charge.dispute.create")
    event = paystack_payments.parse_webhook(posted.body, posted.headers, NOW)
    assert (event.type, event.reference) == ("dispute", checkout.provider_reference)


async def test_nothing_paid_is_nothing_to_refund(paystack_payments: PaystackPayments, order: Order) -> None:
    checkout = await paystack_payments.create_checkout(order())
    with pytest.raises(ProviderRefused) as refused:
        await paystack_payments.refund(await paystack_payments.fetch(checkout.provider_reference), 1, "r")
    assert refused.value.code == "nothing_paid"
