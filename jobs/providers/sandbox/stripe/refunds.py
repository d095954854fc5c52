"""Giving money back, and customers who fetch it back through their bank."""

from jobs.providers.sandbox.state import Sandbox
from jobs.providers.sandbox.store import Body
from jobs.providers.sandbox.stripe import objects
from jobs.providers.sandbox.stripe.events import emit
from jobs.providers.sandbox.stripe.gate import Call
from jobs.providers.sandbox.stripe.params import RefundCreate
from jobs.providers.sandbox.stripe.reads import expanded, load
from jobs.providers.sandbox.stripe.refusals import StripeRefusal


def create(call: Call, params: RefundCreate) -> Body:
    """POST /v1/refunds, of a part or of all that is left."""
    charge = _charge(call.sandbox, params)
    left = charge["amount"] - charge["amount_refunded"]
    amount = left if params.amount is None else params.amount
    _check(charge, amount, left)
    refund = objects.refund(charge, amount, params.reason, params.metadata)
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    call.sandbox.store.put("refund", refund)
    call.sandbox.store.put("charge", charge)
    emit(call.sandbox, "refund.created", refund, call.request_id, call.idempotency_key)
    emit(call.sandbox, "charge.refunded", charge, call.request_id, call.idempotency_key)
    return expanded(call.sandbox, refund, params.expand)


def _charge(sandbox: Sandbox, params: RefundCreate) -> Body:
    if params.payment_intent:
        intent = load(sandbox, "payment_intent", params.payment_intent, "payment_intent")
        if intent["status"] != "succeeded":
            message = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
            raise StripeRefusal(400, message, param="payment_intent")
        return load(sandbox, "charge", intent["latest_charge"])
    if params.charge:
        return load(sandbox, "charge", params.charge, "charge")
    raise StripeRefusal(400, "One of `charge` or `payment_intent` is required.", code="parameter_missing")


def _check(charge: Body, amount: int, left: int) -> None:
    if charge["disputed"]:
        raise StripeRefusal(400, f"Charge {charge['id']} has been charged back.", code="charge_disputed")
    if left == 0:
        raise StripeRefusal(400, f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if amount > left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise StripeRefusal(400, message, param="amount")


def open_dispute(sandbox: Sandbox, intent_id: str, reason: str) -> Body:
    """The customer's bank fetches the money back."""
    intent = load(sandbox, "payment_intent", intent_id, "payment_intent")
    charge = load(sandbox, "charge", intent["latest_charge"] or "")
    dispute = objects.dispute(charge, charge["amount"] - charge["amount_refunded"], reason)
    charge["disputed"] = True
    sandbox.store.put("dispute", dispute)
    sandbox.store.put("charge", charge)
    emit(sandbox, "charge.dispute.created", dispute)
    return dispute


def close_dispute(sandbox: Sandbox, dispute_id: str, *, won: bool) -> Body:
    """The bank's verdict; when won the money comes back."""
    dispute = load(sandbox, "dispute", dispute_id)
    dispute |= {"status": "won" if won else "lost", "is_charge_refundable": False}
    charge = load(sandbox, "charge", dispute["charge"])
    charge["disputed"] = not won
    sandbox.store.put("dispute", dispute)
    sandbox.store.put("charge", charge)
    emit(sandbox, "charge.dispute.closed", dispute)
    return dispute
