"""Stripe's objects with every field that the published description of the pinned API version requires."""

import secrets
import string
import time
from typing import Any

from jobs.providers.sandbox.stripe.fields import CARD_NULLS, CHARGE_NULLS, EVIDENCE_NULLS, INTENT_NULLS, SESSION_NULLS
from jobs.providers.sandbox.stripe.params import Line, SessionCreate

Body = dict[str, Any]


def new_id(prefix: str, length: int = 24) -> str:
    """An id in Stripe's style."""
    letters = string.ascii_letters + string.digits
    return prefix + "".join(secrets.choice(letters) for _ in range(length))


def now() -> int:
    """Unix seconds."""
    return int(time.time())


def base(kind: str, prefix: str, nulls: tuple[str, ...] = ()) -> Body:
    """What every object starts with."""
    return dict.fromkeys(nulls) | {"id": new_id(prefix), "object": kind, "created": now(), "livemode": False}


def session(params: SessionCreate, url_base: str) -> Body:
    """An open Checkout Session."""
    total = sum(line.price_data.unit_amount * line.quantity for line in params.line_items)
    body = base("checkout.session", "cs_test_", SESSION_NULLS)
    return body | {
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "cancel_url": params.cancel_url,
        "client_reference_id": params.client_reference_id,
        "currency": params.line_items[0].price_data.currency,
        "custom_fields": [],
        "custom_text": dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
        "customer_creation": "if_required",
        "customer_details": None,
        "customer_email": params.customer_email,
        "expires_at": params.expires_at or body["created"] + 86_400,
        "locale": params.locale,
        "metadata": params.metadata,
        "mode": "payment",
        "payment_method_collection": "if_required",
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": params.payment_method_types,
        "payment_status": "unpaid",
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "status": "open",
        "submit_type": params.submit_type,
        "success_url": params.success_url,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{url_base}/{body['id']}",
    }


def line_item(line: Line) -> Body:
    """One line of a session, with the price made for it."""
    price = line.price_data
    total = price.unit_amount * line.quantity
    return {
        "id": new_id("li_"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": total,
        "amount_tax": 0,
        "amount_total": total,
        "currency": price.currency,
        "description": price.product_data.name,
        "metadata": {},
        "price": _price(line),
        "quantity": line.quantity,
    }


def _price(line: Line) -> Body:
    nulls = ("custom_unit_amount", "lookup_key", "nickname", "recurring", "tiers_mode", "transform_quantity")
    return base("price", "price_", nulls) | {
        "active": False,
        "billing_scheme": "per_unit",
        "currency": line.price_data.currency,
        "metadata": {},
        "product": new_id("prod_", 14),
        "tax_behavior": "unspecified",
        "type": "one_time",
        "unit_amount": line.price_data.unit_amount,
        "unit_amount_decimal": str(line.price_data.unit_amount),
    }


def intent(of: Body, data: Body) -> Body:
    """The PaymentIntent of a session; `data` is the session's `payment_intent_data`."""
    body = base("payment_intent", "pi_3", INTENT_NULLS)
    return body | {
        "amount": of["amount_total"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "capture_method": "automatic_async",
        "client_secret": f"{body['id']}_secret_{new_id('')}",
        "confirmation_method": "automatic",
        "currency": of["currency"],
        "description": data.get("description"),
        "metadata": data.get("metadata", {}),
        "payment_method": None,
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": of["payment_method_types"],
        "receipt_email": data.get("receipt_email"),
        "status": "requires_payment_method",
    }


def charge(of: Body, email: str | None, *, paid: bool) -> Body:
    """One try to collect a PaymentIntent."""
    return base("charge", "ch_3", CHARGE_NULLS) | {
        "amount": of["amount"],
        "amount_captured": of["amount"] if paid else 0,
        "amount_refunded": 0,
        "billing_details": {"address": None, "email": email, "name": "Sandbox Customer", "phone": None, "tax_id": None},
        "captured": paid,
        "currency": of["currency"],
        "description": of["description"],
        "disputed": False,
        "failure_code": None if paid else "card_declined",
        "failure_message": None if paid else "Your card was declined.",
        "fraud_details": {},
        "metadata": of["metadata"],
        "outcome": _outcome(paid),
        "paid": paid,
        "payment_intent": of["id"],
        "payment_method": of["payment_method"],
        "payment_method_details": {"type": "card", "card": _card()},
        "receipt_email": of["receipt_email"],
        "refunded": False,
        "status": "succeeded" if paid else "failed",
    }


def _outcome(paid: bool) -> Body:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None if paid else "05",
        "network_status": "approved_by_network" if paid else "declined_by_network",
        "reason": None if paid else "generic_decline",
        "risk_level": "normal",
        "seller_message": "Payment complete." if paid else "The bank did not return any further details.",
        "type": "authorized" if paid else "issuer_declined",
    }


def _card() -> Body:
    card = {"brand": "visa", "country": "US", "exp_month": 12, "exp_year": 2034, "funding": "credit"}
    return dict.fromkeys(CARD_NULLS) | card | {"last4": "4242", "network": "visa"}


def refund(of: Body, amount: int, reason: str | None, metadata: dict[str, str]) -> Body:
    """A refund of a charge; it has no `livemode`."""
    body = base("refund", "re_3", ("balance_transaction", "receipt_number", "source_transfer_reversal"))
    del body["livemode"]
    return body | {
        "amount": amount,
        "charge": of["id"],
        "currency": of["currency"],
        "destination_details": {"card": {"reference_status": "pending", "type": "refund"}, "type": "card"},
        "metadata": metadata,
        "payment_intent": of["payment_intent"],
        "reason": reason,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def dispute(of: Body, amount: int, reason: str) -> Body:
    """A dispute of a charge, waiting for our answer."""
    body = base("dispute", "du_1")
    details: Body = {
        "due_by": body["created"] + 7 * 86_400,
        "enhanced_eligibility": {},
        "has_evidence": False,
        "past_due": False,
        "submission_count": 0,
        "submission_method": "not_submitted",
    }
    return body | {
        "amount": amount,
        "balance_transactions": [],
        "charge": of["id"],
        "currency": of["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(EVIDENCE_NULLS) | {"enhanced_evidence": {}},
        "evidence_details": details,
        "is_charge_refundable": True,
        "metadata": {},
        "payment_intent": of["payment_intent"],
        "reason": reason,
        "status": "needs_response",
    }
