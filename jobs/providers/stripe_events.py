"""Stripe's webhooks: prove the signature over the raw bytes, then say what the event means to us."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import stripe

from jobs.providers.errors import SignatureError
from jobs.providers.payments import EventType, ProviderEvent, header

TOLERANCE_SECONDS = 300
"""How far the signed timestamp may be from our clock, either way (Stripe's own default for the past)."""

MEANINGS: dict[str, EventType] = {
    "checkout.session.async_payment_succeeded": "payment_succeeded",
    "checkout.session.async_payment_failed": "payment_failed",
    "checkout.session.expired": "checkout_expired",
    "charge.refunded": "refund",
    "charge.refund.updated": "refund",
    "refund.created": "refund",
    "refund.updated": "refund",
    "refund.failed": "refund",
}


def parse_event(body: bytes, headers: Mapping[str, str], secret: str | None, now: datetime) -> ProviderEvent:
    """The event in `body`. Raises SignatureError unless `secret` signed these bytes within the tolerance of `now`."""
    signed_at = _verified(body, header(headers, "stripe-signature"), secret)
    if abs(now.timestamp() - signed_at) > TOLERANCE_SECONDS:
        raise SignatureError("stale")
    try:
        event = json.loads(body)
        return _event(event, event["data"]["object"])
    except (ValueError, KeyError, TypeError):
        raise SignatureError("malformed") from None


def _verified(body: bytes, signature: str | None, secret: str | None) -> int:
    """The Unix time of a proven signature header."""
    if not signature or not secret:
        raise SignatureError("missing")
    if not signature.isascii():
        raise SignatureError("mismatch")
    try:
        # The SDK's own tolerance reads the machine's clock; ours is compared with `now` by the caller.
        stripe.WebhookSignature.verify_header(body, signature, secret, tolerance=None)
    except stripe.SignatureVerificationError:
        raise SignatureError("mismatch") from None
    except UnicodeDecodeError:
        raise SignatureError("malformed") from None
    parts = (part.partition("=") for part in signature.split(","))
    return next(int(value) for name, _, value in parts if name == "t")


def _event(event: dict[str, Any], subject: dict[str, Any]) -> ProviderEvent:
    return ProviderEvent(
        provider="stripe",
        event_id=str(event["id"]),
        type=_meaning(str(event["type"]), subject),
        raw_type=str(event["type"]),
        reference=_reference(subject),
        livemode=bool(event["livemode"]),
        occurred_at=datetime.fromtimestamp(event["created"], UTC),
        payload=event,
    )


def _meaning(raw_type: str, subject: dict[str, Any]) -> EventType:
    if raw_type == "checkout.session.completed":
        return "payment_pending" if subject.get("payment_status") == "unpaid" else "payment_succeeded"
    if raw_type.startswith("charge.dispute."):
        return "dispute"
    return MEANINGS.get(raw_type, "unknown")


def _reference(subject: dict[str, Any]) -> str | None:
    """A session names itself; a charge, refund or dispute names its PaymentIntent."""
    found = subject.get("id") if subject.get("object") in ("checkout.session", "payment_intent") else None
    found = found or subject.get("payment_intent")
    return found if isinstance(found, str) else None
