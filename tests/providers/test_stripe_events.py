"""Stripe's webhooks: what is believed, what is not, and what each event means."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stripe import WebhookSignature

from jobs.providers.errors import SignatureError
from jobs.providers.stripe import StripePayments
from jobs.providers.stripe_events import parse_event
from tests.providers.conftest import STRIPE_SECRET, Control, Order, press
from tests.providers.inbox import Inbox

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def event(kind: str, subject: dict[str, Any]) -> bytes:
    body = {"id": "evt_1", "object": "event", "type": kind, "created": 1_795_000_000, "livemode": False}
    return json.dumps({**body, "data": {"object": subject}}).encode()


BODY = event("checkout.session.completed", {"object": "checkout.session", "id": "cs_1", "payment_status": "paid"})


def signed(body: bytes, secret: str = STRIPE_SECRET, at: datetime = NOW) -> dict[str, str]:
    return {"Stripe-Signature": WebhookSignature.generate_signature_header(body.decode(), secret, int(at.timestamp()))}


def test_a_signed_event_is_believed() -> None:
    found = parse_event(BODY, signed(BODY), STRIPE_SECRET, NOW)
    assert (found.provider, found.event_id, found.type, found.reference) == (
        "stripe",
        "evt_1",
        "payment_succeeded",
        "cs_1",
    )


@pytest.mark.parametrize("seconds", [301, -301])
def test_a_stale_event_is_refused(seconds: int) -> None:
    with pytest.raises(SignatureError) as refused:
        parse_event(BODY, signed(BODY), STRIPE_SECRET, NOW + timedelta(seconds=seconds))
    assert refused.value.fault == "stale"
    parse_event(BODY, signed(BODY), STRIPE_SECRET, NOW + timedelta(seconds=300))


def test_while_a_secret_rolls_either_signature_is_enough() -> None:
    ours = signed(BODY)["Stripe-Signature"]
    stamp, mine = ours.split(",")
    other = signed(BODY, "whsec_old")["Stripe-Signature"].split(",")[1]
    for header in (f"{stamp},{other},{mine}", f"{stamp},{mine},{other},v0=abc"):
        parse_event(BODY, {"stripe-signature": header}, STRIPE_SECRET, NOW)
    with pytest.raises(SignatureError):
        parse_event(BODY, {"stripe-signature": f"{stamp},{other}"}, STRIPE_SECRET, NOW)


@pytest.mark.parametrize(
    "header",
    ["", "t=1", "v1=ff", "t=now,v1=ff", "t=1795435200,v1=é", "t=1795435200,v0=ff", "nonsense", ",,,", "t=,v1="],
)
def test_a_broken_header_is_refused(header: str) -> None:
    with pytest.raises(SignatureError):
        parse_event(BODY, {"stripe-signature": header}, STRIPE_SECRET, NOW)


def test_any_other_bytes_are_refused() -> None:
    headers = signed(BODY)
    for body in (BODY + b" ", BODY.replace(b"paid", b"Paid"), b"\xff\xfe", b""):
        with pytest.raises(SignatureError):
            parse_event(body, headers, STRIPE_SECRET, NOW)
    for secret in ("whsec_wrong", "", None):
        with pytest.raises(SignatureError):
            parse_event(BODY, headers, secret, NOW)
    with pytest.raises(SignatureError):
        parse_event(BODY, {}, STRIPE_SECRET, NOW)


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"null", b'{"data": 1}', b'{"id": "evt", "data": {"object": 3}}', b"no"]
)
def test_signed_nonsense_is_refused_and_breaks_nothing(body: bytes) -> None:
    with pytest.raises(SignatureError) as refused:
        parse_event(body, signed(body), STRIPE_SECRET, NOW)
    assert refused.value.fault == "malformed"


SESSION = {"object": "checkout.session", "id": "cs_1"}
MEANINGS: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("checkout.session.completed", {**SESSION, "payment_status": "paid"}, "payment_succeeded", "cs_1"),
    ("checkout.session.completed", {**SESSION, "payment_status": "unpaid"}, "payment_pending", "cs_1"),
    ("checkout.session.async_payment_succeeded", SESSION, "payment_succeeded", "cs_1"),
    ("checkout.session.async_payment_failed", SESSION, "payment_failed", "cs_1"),
    ("checkout.session.expired", SESSION, "checkout_expired", "cs_1"),
    ("charge.refunded", {"object": "charge", "id": "ch_1", "payment_intent": "pi_1"}, "refund", "pi_1"),
    ("refund.updated", {"object": "refund", "id": "re_1", "payment_intent": "pi_1"}, "refund", "pi_1"),
    ("charge.dispute.closed", {"object": "dispute", "id": "du_1", "payment_intent": "pi_1"}, "dispute", "pi_1"),
    ("payment_intent.succeeded", {"object": "payment_intent", "id": "pi_1"}, "unknown", "pi_1"),
    ("customer.created", {"object": "customer", "id": "cus_1"}, "unknown", None),
    ("charge.refunded", {"object": "charge", "id": "ch_1", "payment_intent": {"id": "pi_1"}}, "refund", None),
]


@pytest.mark.parametrize(("kind", "subject", "meaning", "reference"), MEANINGS)
def test_each_event_means_one_thing(kind: str, subject: dict[str, Any], meaning: str, reference: str | None) -> None:
    body = event(kind, subject)
    found = parse_event(body, signed(body), STRIPE_SECRET, NOW)
    assert (found.type, found.reference, found.raw_type) == (meaning, reference, kind)


async def test_the_sandbox_signs_so_that_the_client_believes(
    stripe_payments: StripePayments, order: Order, inbox: Inbox, control: Control
) -> None:
    checkout = await stripe_payments.create_checkout(order())
    press(checkout.url, "pay")
    posted = inbox.wait_for(b"checkout.session.completed")
    assert posted.path == "/webhooks/stripe"
    paid = stripe_payments.parse_webhook(posted.body, posted.headers, datetime.now(UTC))
    assert (paid.type, paid.reference, paid.livemode) == ("payment_succeeded", checkout.provider_reference, False)

    payment = await stripe_payments.fetch(checkout.provider_reference)
    await stripe_payments.refund(payment, 100, "r")
    posted = inbox.wait_for(b'"charge.refunded"')
    refund = stripe_payments.parse_webhook(posted.body, posted.headers, datetime.now(UTC))
    assert (refund.type, refund.reference) == ("refund", payment.provider_payment_id)

    dispute = control("stripe/dispute", payment_intent=payment.provider_payment_id)
    control("stripe/close-dispute", dispute=dispute["id"], status="lost")
    posted = inbox.wait_for(b"charge.dispute.closed")
    lost = stripe_payments.parse_webhook(posted.body, posted.headers, datetime.now(UTC))
    assert (lost.type, lost.reference) == ("dispute", payment.provider_payment_id)
