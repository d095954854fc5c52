"""Paystack's webhooks: HMAC-SHA512 over the raw bytes with the account's secret key, no timestamp, no event id."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jobs.providers.errors import SignatureError
from jobs.providers.payments import EventType, ProviderEvent, header


def sign(body: bytes, secret_key: str) -> str:
    """The hexadecimal `x-paystack-signature` of these bytes."""
    return hmac.new(secret_key.encode(), body, hashlib.sha512).hexdigest()


def parse_event(body: bytes, headers: Mapping[str, str], secret_key: str, now: datetime) -> ProviderEvent:
    """The event in `body`. Raises SignatureError unless this key signed it; `now` stands in for a missing time."""
    signature = header(headers, "x-paystack-signature")
    if not signature:
        raise SignatureError("missing")
    if not hmac.compare_digest(signature.encode(), sign(body, secret_key).encode()):
        raise SignatureError("mismatch")
    try:
        event = json.loads(body)
        return _event(event, mapping(event["data"]), body, now)
    except (ValueError, KeyError, TypeError):
        raise SignatureError("malformed") from None


def _event(event: dict[str, Any], subject: dict[str, Any], body: bytes, now: datetime) -> ProviderEvent:
    raw_type = str(event["event"])
    return ProviderEvent(
        provider="paystack",
        event_id=f"{raw_type}:{_identity(subject, body)}",
        type=_meaning(raw_type),
        raw_type=raw_type,
        reference=_reference(subject),
        livemode=subject.get("domain") == "live",
        occurred_at=_moment(subject, now),
        payload=event,
    )


def _identity(subject: dict[str, Any], body: bytes) -> str:
    """Refund events have no `data.id`, and at first no refund reference: a repeat of them has the same bytes."""
    found = subject.get("id") or subject.get("refund_reference")
    return str(found) if found else hashlib.sha256(body).hexdigest()[:32]


def _meaning(raw_type: str) -> EventType:
    """There is no event for a failed or abandoned charge; the reconciler asks."""
    if raw_type == "charge.success":
        return "payment_succeeded"
    if raw_type.startswith("charge.dispute."):
        return "dispute"
    return "refund" if raw_type.startswith("refund.") else "unknown"


def _reference(subject: dict[str, Any]) -> str | None:
    """A charge names itself, a refund its transaction's reference, a dispute carries its transaction."""
    found = subject.get("transaction_reference") or mapping(subject.get("transaction")).get("reference")
    found = found or subject.get("reference")
    return found if isinstance(found, str) else None


def _moment(subject: dict[str, Any], now: datetime) -> datetime:
    text = subject.get("paid_at") or subject.get("created_at") or subject.get("createdAt")
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return now
    return moment if moment.tzinfo else now


def mapping(value: Any) -> dict[str, Any]:
    """The value when it is an object, else an empty one: Paystack's `metadata` may be 0, "", null or an object."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}
