"""What the customer does on the checkout page, and what the bank says later."""

from jobs.providers.sandbox.state import Sandbox
from jobs.providers.sandbox.store import Body
from jobs.providers.sandbox.stripe import objects
from jobs.providers.sandbox.stripe.events import emit
from jobs.providers.sandbox.stripe.reads import load
from jobs.providers.sandbox.stripe.refusals import StripeRefusal


def pay(sandbox: Sandbox, session: Body) -> None:
    """The card is charged: the money is there."""
    intent = _intent(sandbox, session)
    _collect(sandbox, session, intent)
    _complete(sandbox, session, intent, "paid")
    emit(sandbox, "checkout.session.completed", session)


def decline(sandbox: Sandbox, session: Body) -> None:
    """The card is declined: the session stays open for another try."""
    intent = _intent(sandbox, session)
    _decline(sandbox, session, intent)


def pay_later(sandbox: Sandbox, session: Body) -> None:
    """A bank debit: the session is complete, the money is not there yet."""
    intent = _intent(sandbox, session)
    intent["status"] = "processing"
    sandbox.store.put("payment_intent", intent)
    _complete(sandbox, session, intent, "unpaid")
    emit(sandbox, "payment_intent.processing", intent)
    emit(sandbox, "checkout.session.completed", session)


def settle(sandbox: Sandbox, session_id: str, *, succeeded: bool) -> None:
    """The bank's answer to a debit. Raises StripeRefusal unless the session waits for one."""
    session = load(sandbox, "checkout.session", session_id)
    intent = sandbox.store.get("payment_intent", session["payment_intent"] or "")
    if intent is None or intent["status"] != "processing":
        raise StripeRefusal(400, f"{session_id} waits for no bank.")
    if succeeded:
        _collect(sandbox, session, intent)
        session["payment_status"] = "paid"
        sandbox.store.put("checkout.session", session)
        emit(sandbox, "checkout.session.async_payment_succeeded", session)
    else:
        _decline(sandbox, session, intent)
        emit(sandbox, "checkout.session.async_payment_failed", session)


def _intent(sandbox: Sandbox, session: Body) -> Body:
    """The session's PaymentIntent, made at the first try."""
    kept = sandbox.store.get("session_intent", session["id"]) or {}
    found = sandbox.store.get("payment_intent", kept.get("intent", ""))
    if found is None:
        found = objects.intent(session, kept)
        sandbox.store.put("session_intent", {**kept, "id": session["id"], "intent": found["id"]})
        emit(sandbox, "payment_intent.created", found)
    return found | {"payment_method": found["payment_method"] or objects.new_id("pm_1")}


def _collect(sandbox: Sandbox, session: Body, intent: Body) -> None:
    charge = objects.charge(intent, session["customer_email"], paid=True)
    intent |= {"status": "succeeded", "amount_received": intent["amount"], "latest_charge": charge["id"]}
    intent["last_payment_error"] = None
    sandbox.store.put("charge", charge)
    sandbox.store.put("payment_intent", intent)
    emit(sandbox, "charge.succeeded", charge)
    emit(sandbox, "payment_intent.succeeded", intent)


def _decline(sandbox: Sandbox, session: Body, intent: Body) -> None:
    charge = objects.charge(intent, session["customer_email"], paid=False)
    intent |= {"status": "requires_payment_method", "latest_charge": charge["id"], "payment_method": None}
    intent["last_payment_error"] = {
        "charge": charge["id"],
        "code": "card_declined",
        "decline_code": "generic_decline",
        "doc_url": "https://docs.stripe.com/error-codes/card-declined",
        "message": "Your card was declined.",
        "type": "card_error",
    }
    sandbox.store.put("charge", charge)
    sandbox.store.put("payment_intent", intent)
    emit(sandbox, "charge.failed", charge)
    emit(sandbox, "payment_intent.payment_failed", intent)


def _complete(sandbox: Sandbox, session: Body, intent: Body, payment_status: str) -> None:
    nulls = ("address", "business_name", "individual_name", "phone")
    customer = dict.fromkeys(nulls) | {"email": session["customer_email"], "name": "Sandbox Customer"}
    session |= {
        "status": "complete",
        "payment_status": payment_status,
        "payment_intent": intent["id"],
        "customer_details": customer | {"tax_exempt": "none", "tax_ids": []},
        "url": None,
    }
    sandbox.store.put("checkout.session", session)
