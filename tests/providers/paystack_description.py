"""What Paystack's published description requires of its answers and events: each field, and the kinds it may have.

Read from the OpenAPI document with answers (github.com/alexasomba/paystack-openapi) that completes Paystack's own
(github.com/PaystackOSS/openapi), and from the samples of its reference (github.com/PaystackOSS/doc-code-snippets).
"""

from typing import Any

Kinds = Any  # a type, a union of types, an object's fields, a list of one kind, or a tuple of alternatives

WHOLE_OR_EMPTY = str | int | dict | None  # type: ignore[type-arg]
"""`metadata` comes as 0, an empty text, null or an object."""

LOG = {
    "start_time": int, "time_spent": int, "attempts": int, "errors": int, "success": bool, "mobile": bool,
    "input": list, "history": list,
}  # fmt: skip

PERSON = {
    "id": int, "first_name": str | None, "last_name": str | None, "email": str, "customer_code": str,
    "phone": str | None, "metadata": dict | str | None, "risk_action": str,
}  # fmt: skip

PERSON_WITH_PHONE = {**PERSON, "international_format_phone": str | None}

TRANSACTION = {
    "id": int, "domain": str, "status": str, "reference": str, "amount": int, "message": str | None,
    "gateway_response": str, "channel": str, "currency": str, "ip_address": str | None, "metadata": WHOLE_OR_EMPTY,
    "log": (LOG, None), "fees": int | None, "fees_split": int | dict | None, "split": dict,
    "order_id": int | str | None, "source": dict | None, "pos_transaction_data": dict | None, "subaccount": dict,
}  # fmt: skip

INITIALIZED = {"authorization_url": str, "access_code": str, "reference": str}

VERIFIED = {
    **TRANSACTION, "receipt_number": str | None, "authorization": dict, "customer": PERSON_WITH_PHONE,
    "plan": str | None, "paidAt": str | None, "createdAt": str, "requested_amount": int, "fees_breakdown": list | None,
    "connect": dict | None, "transaction_date": str, "plan_object": dict,
}  # fmt: skip

CARD = {
    "authorization_code": str | None, "bin": str | None, "last4": str | None, "exp_month": str | None,
    "exp_year": str | None, "channel": str | None, "card_type": str | None, "bank": str | None,
    "country_code": str | None, "brand": str | None, "reusable": bool, "signature": str | None,
    "account_name": str | None,
}  # fmt: skip

LISTED = {
    **TRANSACTION, "paid_at": str | None, "created_at": str, "customer": PERSON, "authorization": CARD, "plan": dict,
    "requested_amount": int, "connect": dict | None,
}  # fmt: skip

META = {"total": int, "skipped": int, "perPage": int | str, "page": int, "pageCount": int}

REFUND = {
    "id": int, "integration": int, "domain": str, "amount": int, "deducted_amount": int | None, "currency": str,
    "channel": str | None, "status": str, "refunded_by": str, "expected_at": str, "customer_note": str,
    "merchant_note": str,
}  # fmt: skip

REFUNDED_TRANSACTION = {
    "id": int, "domain": str, "reference": str, "amount": int, "paid_at": str, "channel": str, "currency": str,
    "authorization": {"exp_month": str | None, "exp_year": str | None, "account_name": str | None},
    "customer": {"international_format_phone": str | None}, "plan": dict, "subaccount": {"currency": str | None},
    "split": dict, "order_id": int | str | None, "pos_transaction_data": dict | None, "source": dict | None,
    "fees_breakdown": list | None,
}  # fmt: skip

REFUND_CREATED = {
    **REFUND, "transaction": REFUNDED_TRANSACTION, "fully_deducted": bool, "createdAt": str, "updatedAt": str,
}  # fmt: skip

REFUND_FETCHED = {
    **REFUND, "transaction": int, "dispute": int | None, "settlement": int | None, "fully_deducted": bool,
    "refunded_at": str | None, "createdAt": str, "updatedAt": str,
}  # fmt: skip

REFUND_LISTED = {
    **REFUND, "transaction": int, "dispute": int | None, "settlement": int | None, "fully_deducted": bool | int | None,
    "refunded_at": str | None, "created_at": str, "updated_at": str,
}  # fmt: skip

DISPUTED_TRANSACTION = {
    **TRANSACTION, "paid_at": str | None, "created_at": str, "authorization": dict,
    "customer": {"international_format_phone": str | None}, "plan": dict, "paidAt": str | None,
    "requested_amount": int, "fees_breakdown": list | None, "connect": dict | None,
}  # fmt: skip

DISPUTE = {
    "id": int, "refund_amount": int, "currency": str, "status": str, "resolution": str | None, "domain": str,
    "transaction": DISPUTED_TRANSACTION, "transaction_reference": str | None, "category": str,
    "customer": PERSON_WITH_PHONE, "bin": str, "last4": str, "dueAt": str | None, "resolvedAt": str | None,
    "evidence": dict | None, "attachments": str | None, "note": str | None,
    "history": [{"status": str, "by": str, "createdAt": str}],
    "messages": [{"sender": str, "body": str, "createdAt": str}], "created_at": str, "updated_at": str,
}  # fmt: skip

EVENTS: dict[str, Kinds] = {
    "charge.success": {
        **{name: kinds for name, kinds in TRANSACTION.items() if name in (
            "id", "domain", "status", "reference", "amount", "message", "gateway_response", "channel", "currency",
            "ip_address", "metadata", "log", "fees")},
        "paid_at": str, "created_at": str, "customer": PERSON, "plan": dict,
        "authorization": {name: kinds for name, kinds in CARD.items()
                          if name not in ("channel", "reusable", "signature")},
    },
    "refund.pending": {
        "status": str, "transaction_reference": str, "refund_reference": str | None, "amount": str | int,
        "currency": str, "processor": str, "integration": int, "domain": str,
        "customer": {"first_name": str | None, "last_name": str | None, "email": str},
    },
    "charge.dispute.create": DISPUTE,
    "charge.dispute.resolve": {**DISPUTE, "resolution": str, "resolvedAt": str},
}  # fmt: skip
EVENTS["refund.processed"] = {**EVENTS["refund.pending"], "refund_reference": str}

REFUSED = {"status": bool, "message": str, "meta": {"nextStep": str}, "type": str, "code": str}


def gaps(body: Any, kinds: Kinds, path: str) -> list[str]:
    """The places where `body` lacks a required field, or has it in a kind that is not described."""
    if isinstance(kinds, tuple):
        return min((gaps(body, each, path) for each in kinds), key=len)
    if isinstance(kinds, dict) and isinstance(body, dict):
        missing = [f"{path}.{name} is missing" for name in kinds if name not in body]
        return missing + [
            gap for name in kinds if name in body for gap in gaps(body[name], kinds[name], f"{path}.{name}")
        ]
    if isinstance(kinds, list) and isinstance(body, list):
        return [gap for place, each in enumerate(body) for gap in gaps(each, kinds[0], f"{path}[{place}]")]
    fits = body is None if kinds is None else not isinstance(kinds, dict | list) and _is_a(body, kinds)
    return [] if fits else [f"{path} is {type(body).__name__}"]


def _is_a(body: Any, kinds: Any) -> bool:
    """Python's booleans are whole numbers; JSON's are not."""
    if isinstance(body, bool):
        return kinds is bool or bool in getattr(kinds, "__args__", ())
    return isinstance(body, kinds)
