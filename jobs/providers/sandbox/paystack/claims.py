"""What goes back to the customer, as Paystack's API reference shows it: refunds, and disputes of the bank."""

from jobs.providers.sandbox.paystack import objects
from jobs.providers.sandbox.store import Body


def inner(shown: Body) -> Body:
    """A transaction inside a refund or a dispute: who paid, and with what, is left out."""
    card = {"exp_month": None, "exp_year": None, "account_name": None}
    customer = {"international_format_phone": None}
    return shown | {"plan": {}, "subaccount": {"currency": None}, "authorization": card, "customer": customer}


def refund(number: int, of: Body, amount: int, merchant_note: str | None, customer_note: str | None) -> Body:
    """A refund that is being worked on."""
    note = f"Refund for transaction {of['reference']}"
    return {
        "id": 13_000_000 + number,
        "integration": 100_043,
        "domain": "test",
        "transaction": of["id"],
        "transaction_reference": of["reference"],
        "refund_reference": None,
        "dispute": None,
        "settlement": None,
        "amount": amount,
        "deducted_amount": 0,
        "fully_deducted": False,
        "currency": of["currency"],
        "channel": of["channel"],
        "status": "pending",
        "refunded_by": of["customer"]["email"],
        "refunded_at": None,
        "expected_at": objects.stamp(),
        "customer_note": customer_note or note,
        "merchant_note": merchant_note or note,
        "created_at": objects.stamp(),
        "updated_at": objects.stamp(),
        "createdAt": objects.stamp(),
        "updatedAt": objects.stamp(),
    }


def dispute(number: int, of: Body) -> Body:
    """A claim of the customer's bank."""
    return {
        "id": 2_800_000 + number,
        "refund_amount": of["amount"],
        "currency": of["currency"],
        "status": "awaiting-merchant-feedback",
        "resolution": None,
        "domain": "test",
        "transaction": inner(objects.public(of)),
        "transaction_reference": None,
        "category": "chargeback",
        "customer": of["customer"],
        "bin": of["authorization"].get("bin", ""),
        "last4": of["authorization"].get("last4", ""),
        "dueAt": objects.stamp(),
        "resolvedAt": None,
        "evidence": None,
        "attachments": None,
        "note": None,
        "history": [{"status": "pending", "by": of["customer"]["email"], "createdAt": objects.stamp()}],
        "messages": [{"sender": of["customer"]["email"], "body": "No value was given", "createdAt": objects.stamp()}],
        "created_at": objects.stamp(),
        "updated_at": objects.stamp(),
    }
