"""Stripe's hosted checkout page, with a button for everything that can become of a payment."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jobs.providers.sandbox.pages import moment, money, posted, render
from jobs.providers.sandbox.state import Sandbox, sandbox_of
from jobs.providers.sandbox.store import Body
from jobs.providers.sandbox.stripe.outcomes import decline, pay, pay_later, settle
from jobs.providers.sandbox.stripe.reads import lines_of

OUTCOMES: dict[str, Callable[[Sandbox, Body], None]] = {"pay": pay, "decline": decline, "later": pay_later}
VERDICTS = {"settle": True, "bounce": False}


async def show(request: Request) -> Response:
    """GET /stripe/pay/{session}."""
    sandbox = sandbox_of(request)
    session = sandbox.store.get("checkout.session", request.path_params["id"])
    if session is None:
        return render("pay.html", 404, **_gone())
    return render("pay.html", **_shown(sandbox, session))


async def act(request: Request) -> Response:
    """POST /stripe/pay/{session}: what the customer, or later the bank, decides."""
    sandbox = sandbox_of(request)
    outcome = (await posted(request)).get("outcome", "")
    with sandbox.store.transaction():
        session = sandbox.store.get("checkout.session", request.path_params["id"])
        if session is None:
            return render("pay.html", 404, **_gone())
        if outcome in VERDICTS and _waits_for_bank(sandbox, session):
            settle(sandbox, session["id"], succeeded=VERDICTS[outcome])
            return RedirectResponse(request.url.path, 303)
        if outcome not in OUTCOMES or session["status"] != "open":
            return render("pay.html", 409, **_shown(sandbox, session))
        OUTCOMES[outcome](sandbox, session)
    return RedirectResponse(_return_url(session, outcome) or request.url.path, 303)


def _return_url(session: Body, outcome: str) -> str | None:
    address: str | None = session["cancel_url"] if outcome == "decline" else session["success_url"]
    return address.replace("{CHECKOUT_SESSION_ID}", session["id"]) if address else None


def _shown(sandbox: Sandbox, session: Body) -> Body:
    amount = money(session["amount_total"], session["currency"])
    details = [
        (line["description"], money(line["amount_total"], line["currency"]))
        for line in lines_of(sandbox, session["id"])["data"]
    ]
    details += [("E-mail", session["customer_email"] or "–"), ("Open until", moment(session["expires_at"]))]
    notice, buttons = _choices(sandbox, session, amount)
    return {
        "heading": "Stripe checkout",
        "amount": amount,
        "details": details,
        "notice": notice,
        "buttons": buttons,
        "back": _return_url(session, "pay" if session["status"] == "complete" else "decline"),
        "reference": session["id"],
    }


def _choices(sandbox: Sandbox, session: Body, amount: str) -> tuple[str, list[tuple[str, str, str]]]:
    """What to say and which buttons to offer."""
    if session["status"] == "expired":
        return "This checkout has expired.", []
    if _waits_for_bank(sandbox, session):
        buttons = [("settle", "The bank pays", "main"), ("bounce", "The bank refuses", "bad")]
        return "Waiting for the customer's bank.", buttons
    if session["status"] == "complete":
        paid = session["payment_status"] == "paid"
        return "This checkout has been paid." if paid else "The bank has refused this payment.", []
    buttons = [("pay", f"Pay {amount}", "main"), ("decline", "Decline", "bad")]
    return "", [*buttons, ("later", "Pay by bank debit (the money comes later)", "")]


def _waits_for_bank(sandbox: Sandbox, session: Body) -> bool:
    intent = sandbox.store.get("payment_intent", session["payment_intent"] or "")
    return session["status"] == "complete" and intent is not None and intent["status"] == "processing"


def _gone() -> Body:
    nothing: Body = {"amount": "", "details": [], "buttons": [], "back": None, "reference": ""}
    return nothing | {"heading": "Stripe checkout", "notice": "There is no such checkout."}
