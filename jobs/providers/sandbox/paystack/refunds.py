"""Refunds, which Paystack works on after it has answered, and disputes."""

import time

from starlette.requests import Request

from jobs.providers.sandbox.paystack import claims, objects
from jobs.providers.sandbox.paystack.events import emit
from jobs.providers.sandbox.paystack.gate import Nothing
from jobs.providers.sandbox.paystack.params import Refund, Window
from jobs.providers.sandbox.paystack.refusals import PaystackRefusal
from jobs.providers.sandbox.paystack.transactions import by_reference, page, shown
from jobs.providers.sandbox.state import Sandbox, sandbox_of
from jobs.providers.sandbox.store import Body

PROCESSING_SECONDS = 0.3


def create(request: Request, params: Refund) -> Body:
    """POST /refund, by the transaction's reference or id, of a part or of all that is left."""
    sandbox = sandbox_of(request)
    of = sandbox.store.get("transaction", str(params.transaction)) or by_reference(sandbox, str(params.transaction))
    amount = params.amount or of["amount"] - of["refunded"]
    _check(of, amount)
    body = claims.refund(
        sandbox.store.count("paystack_refund") + 1, of, amount, params.merchant_note, params.customer_note
    )
    of["refunded"] += amount
    of |= {"status": "reversed"} if of["refunded"] == of["amount"] else {}
    sandbox.store.put("transaction", of)
    sandbox.store.put("paystack_refund", body)
    sandbox.schedule.at(time.time() + PROCESSING_SECONDS, "paystack", "process_refund", str(body["id"]))
    emit(sandbox, "refund.pending", _event(body, of))
    answer = body | {"transaction": claims.inner(shown(sandbox, of))}
    return {"status": True, "message": "Refund has been queued for processing", "data": answer}


def _check(of: Body, amount: int) -> None:
    if of["status"] == "reversed":
        raise PaystackRefusal(400, "Transaction has been fully reversed", "transaction_reversed")
    if of["status"] != "success":
        raise PaystackRefusal(400, "Transaction is not successful", "invalid_transaction")
    if amount > of["amount"] - of["refunded"]:
        message = "Refund amount cannot be more than the amount remaining on the transaction"
        raise PaystackRefusal(400, message, "invalid_amount")


def _event(body: Body, of: Body) -> Body:
    """The `data` of a refund event: no id, and the amount as a text."""
    customer = {name: of["customer"][name] for name in ("first_name", "last_name", "email")}
    kept = ("status", "transaction_reference", "refund_reference", "currency", "integration", "domain")
    shown_fields = {name: body[name] for name in kept}
    return shown_fields | {"amount": str(body["amount"]), "processor": "instant-transfer", "customer": customer}


def fetch(request: Request, params: Nothing) -> Body:
    """GET /refund/{id}."""
    found = sandbox_of(request).store.get("paystack_refund", str(request.path_params["id"]))
    if found is None:
        raise PaystackRefusal(404, "Refund not found", "refund_not_found")
    return {"status": True, "message": "Refund retrieved", "data": found}


def listing(request: Request, params: Window) -> Body:
    """GET /refund, newest first."""
    where = {"transaction": params.transaction} if params.transaction else {}
    body = page(sandbox_of(request), "paystack_refund", "created_at", params, where)
    return {"status": True, "message": "Refunds retrieved", **body}


def on_step(sandbox: Sandbox, action: str, refund_id: str) -> None:
    """The refund reaches the customer."""
    body = sandbox.store.get("paystack_refund", refund_id)
    of = sandbox.store.get("transaction", str(body["transaction"])) if body else None
    if action != "process_refund" or body is None or of is None:
        return
    now = objects.stamp()
    body |= {"status": "processed", "refund_reference": f"TRF_{objects.token()}", "refunded_at": now}
    body |= {"updated_at": now, "updatedAt": now}
    sandbox.store.put("paystack_refund", body)
    emit(sandbox, "refund.processed", _event(body, of))


def open_dispute(sandbox: Sandbox, reference: str) -> Body:
    """The customer's bank claims the money back."""
    of = by_reference(sandbox, reference)
    body = claims.dispute(sandbox.store.count("paystack_dispute") + 1, of)
    sandbox.store.put("paystack_dispute", body)
    emit(sandbox, "charge.dispute.create", body)
    return body


def close_dispute(sandbox: Sandbox, dispute_id: int, *, won: bool) -> Body:
    """The end of a claim; Paystack says `declined` when the merchant keeps the money. Raises PaystackRefusal."""
    body = sandbox.store.get("paystack_dispute", str(dispute_id))
    if body is None:
        raise PaystackRefusal(404, "Dispute not found", "dispute_not_found")
    now = objects.stamp()
    body |= {"status": "resolved", "resolution": "declined" if won else "merchant-accepted"}
    body |= {"resolvedAt": now, "updated_at": now}
    sandbox.store.put("paystack_dispute", body)
    emit(sandbox, "charge.dispute.resolve", body)
    return body
