"""Paystack's objects as its API reference shows them."""

import secrets
from datetime import UTC, datetime
from typing import Any

from jobs.providers.sandbox.paystack.params import Initialize
from jobs.providers.sandbox.store import Body

FIRST_ID = 4_099_000_000
ODD_METADATA: dict[str, Any] = {"zero": 0, "empty": "", "null": None}


def stamp() -> str:
    """Now, as Paystack writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def token(length: int = 15) -> str:
    """A code of lower-case letters and digits."""
    return secrets.token_hex(length)[:length]


def transaction(number: int, params: Initialize) -> Body:
    """A new transaction; it reads `abandoned` until somebody pays."""
    return {
        "id": FIRST_ID + number,
        "domain": "test",
        "status": "abandoned",
        "reference": params.reference or token(10),
        "receipt_number": None,
        "amount": params.amount,
        "message": None,
        "gateway_response": "The transaction was not completed",
        "paid_at": None,
        "created_at": stamp(),
        "channel": "card",
        "currency": params.currency,
        "ip_address": "127.0.0.1",
        "metadata": "" if params.metadata is None else params.metadata,
        "log": None,
        "fees": None,
        "fees_split": None,
        "authorization": {},
        "customer": _customer(number, params.email),
        "plan": None,
        "split": {},
        "order_id": None,
        "paidAt": None,
        "createdAt": stamp(),
        "requested_amount": params.amount,
        "pos_transaction_data": None,
        "source": None,
        "fees_breakdown": None,
        "connect": None,
        "transaction_date": stamp(),
        "plan_object": {},
        "subaccount": {},
        # Ours, never shown: the page's code and where it leads.
        "access_code": token(),
        "callback_url": params.callback_url,
        "refunded": 0,
    }


def _customer(number: int, email: str) -> Body:
    return {
        "id": 180_000_000 + number,
        "first_name": None,
        "last_name": None,
        "email": email,
        "customer_code": f"CUS_{token()}",
        "phone": None,
        "metadata": None,
        "risk_action": "default",
        "international_format_phone": None,
    }


def authorization() -> Body:
    """The card that paid."""
    return {
        "authorization_code": f"AUTH_{token(10)}",
        "bin": "408408",
        "last4": "4081",
        "exp_month": "12",
        "exp_year": "2034",
        "channel": "card",
        "card_type": "visa ",
        "bank": "TEST BANK",
        "country_code": "NG",
        "brand": "visa",
        "reusable": True,
        "signature": f"SIG_{token(20)}",
        "account_name": None,
    }


def listed(shown: Body) -> Body:
    """A transaction in a list: a card with every field, and a plan that is an object."""
    card: Body = dict.fromkeys(authorization()) | {"reusable": False}
    return shown | {"plan": {}, "authorization": card | shown["authorization"]}


def public(body: Body, metadata_as: str | None = None) -> Body:
    """A transaction as the API shows it, its metadata as oddly as Paystack may send it."""
    shown = {name: value for name, value in body.items() if name not in ("access_code", "callback_url", "refunded")}
    return shown | {"metadata": ODD_METADATA[metadata_as]} if metadata_as else shown
