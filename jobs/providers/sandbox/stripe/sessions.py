"""Opening and closing Checkout Sessions."""

from jobs.providers.sandbox.state import Sandbox
from jobs.providers.sandbox.store import Body
from jobs.providers.sandbox.stripe.events import emit
from jobs.providers.sandbox.stripe.gate import Call
from jobs.providers.sandbox.stripe.objects import line_item, now, session
from jobs.providers.sandbox.stripe.params import Nothing, SessionCreate
from jobs.providers.sandbox.stripe.reads import expanded, load
from jobs.providers.sandbox.stripe.refusals import StripeRefusal

SHORTEST, LONGEST = 30 * 60, 24 * 3600
SMALLEST = 50


def create(call: Call, params: SessionCreate) -> Body:
    """POST /v1/checkout/sessions."""
    _check_expiry(params.expires_at)
    _check_lines(params)
    body = session(params, call.pages)
    store = call.sandbox.store
    store.put("checkout.session", body)
    store.put("session_lines", {"id": body["id"], "lines": [line_item(line) for line in params.line_items]})
    store.put("session_intent", {"id": body["id"], **params.payment_intent_data.model_dump(exclude={"expand"})})
    call.sandbox.schedule.at(body["expires_at"], "stripe", "expire", body["id"])
    return expanded(call.sandbox, body, params.expand)


def _check_expiry(expires_at: int | None) -> None:
    if expires_at is None:
        return
    left = expires_at - now()
    # A request takes its time on the way, so the shortest life is not measured to the second.
    if not SHORTEST - 60 <= left <= LONGEST + 60:
        edge = "at least 30 minutes" if left < SHORTEST else "less than 24 hours"
        raise StripeRefusal(
            400, f"The `expires_at` timestamp must be {edge} from Checkout Session creation.", param="expires_at"
        )


def _check_lines(params: SessionCreate) -> None:
    if len({line.price_data.currency for line in params.line_items}) > 1:
        raise StripeRefusal(400, "All prices on a Checkout Session must have the same currency.", param="line_items")
    total = sum(line.price_data.unit_amount * line.quantity for line in params.line_items)
    if total < SMALLEST:
        message = "The Checkout Session's total amount due must add up to at least $0.50."
        raise StripeRefusal(400, message, code="amount_too_small", param="line_items")


def expire(call: Call, params: Nothing) -> Body:
    """POST /v1/checkout/sessions/{id}/expire."""
    body = load(call.sandbox, "checkout.session", call.key, "session")
    if body["status"] != "open":
        message = f'Only Checkout Sessions with a status in ["open"] can be expired. This one is {body["status"]}.'
        raise StripeRefusal(400, message, param="session")
    return expanded(call.sandbox, close(call.sandbox, body, call.request_id, call.idempotency_key), params.expand)


def close(sandbox: Sandbox, body: Body, request_id: str | None = None, key: str | None = None) -> Body:
    """An open session becomes an expired one, and the event is posted."""
    body |= {"status": "expired", "url": None}
    sandbox.store.put("checkout.session", body)
    emit(sandbox, "checkout.session.expired", body, request_id, key)
    return body


def on_step(sandbox: Sandbox, action: str, session_id: str) -> None:
    """The time of a session has come; a session that is paid by then stays as it is."""
    body = sandbox.store.get("checkout.session", session_id)
    if action == "expire" and body and body["status"] == "open":
        close(sandbox, body)
