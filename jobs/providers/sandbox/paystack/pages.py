"""Paystack's hosted checkout page."""

from collections.abc import Callable
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jobs.providers.sandbox.pages import money, posted, render
from jobs.providers.sandbox.paystack.transactions import decline, pay
from jobs.providers.sandbox.state import Sandbox, sandbox_of
from jobs.providers.sandbox.store import Body

OUTCOMES: dict[str, Callable[[Sandbox, Body], None]] = {"pay": pay, "decline": decline}
PAYABLE = ("abandoned", "failed")
NOTICES = {"success": "This transaction has been paid.", "reversed": "This transaction has been refunded."}


async def show(request: Request) -> Response:
    """GET /paystack/pay/{code}."""
    found = _find(request)
    return render("pay.html", 200 if found else 404, **_shown(found))


async def act(request: Request) -> Response:
    """POST /paystack/pay/{code}: what the customer decides."""
    sandbox = sandbox_of(request)
    outcome = (await posted(request)).get("outcome", "")
    with sandbox.store.transaction():
        body = _find(request)
        if body is None or outcome not in OUTCOMES or body["status"] not in PAYABLE:
            return render("pay.html", 409 if body else 404, **_shown(body))
        OUTCOMES[outcome](sandbox, body)
    return RedirectResponse(_return_url(body, outcome) or request.url.path, 303)


def _find(request: Request) -> Body | None:
    return sandbox_of(request).store.one("transaction", {"access_code": request.path_params["code"]})


def _return_url(body: Body, outcome: str) -> str | None:
    """After a decline where `cancel_action` points, else to the call-back with the reference twice."""
    metadata = body["metadata"] if isinstance(body["metadata"], dict) else {}
    if outcome == "decline" and metadata.get("cancel_action"):
        return str(metadata["cancel_action"])
    address: str | None = body["callback_url"]
    query = urlencode({"trxref": body["reference"], "reference": body["reference"]})
    return f"{address}{'&' if '?' in address else '?'}{query}" if address else None


def _shown(body: Body | None) -> Body:
    if body is None:
        nothing: Body = {"amount": "", "details": [], "buttons": [], "back": None, "reference": ""}
        return nothing | {"heading": "Paystack checkout", "notice": "There is no such transaction."}
    amount = money(body["amount"], body["currency"])
    metadata = body["metadata"] if isinstance(body["metadata"], dict) else {}
    payable = body["status"] in PAYABLE
    return {
        "heading": "Paystack checkout",
        "amount": amount,
        "details": [("Invoice", metadata.get("invoice_number", "–")), ("E-mail", body["customer"]["email"])],
        "notice": NOTICES.get(body["status"], ""),
        "buttons": [("pay", f"Pay {amount}", "main"), ("decline", "Decline", "bad")] if payable else [],
        "back": _return_url(body, "decline" if payable else "pay"),
        "reference": body["reference"],
    }
