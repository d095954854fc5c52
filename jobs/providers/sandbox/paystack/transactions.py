"""Opening, verifying and listing transactions, and what the customer does with one."""

from math import ceil

from starlette.requests import Request

from jobs.providers.sandbox.paystack import objects
from jobs.providers.sandbox.paystack.events import emit
from jobs.providers.sandbox.paystack.gate import Nothing
from jobs.providers.sandbox.paystack.params import Initialize, Window
from jobs.providers.sandbox.paystack.refusals import PaystackRefusal
from jobs.providers.sandbox.state import Sandbox, origin, sandbox_of
from jobs.providers.sandbox.store import Body

MINIMUMS = {"GHS": 10, "KES": 300, "NGN": 5000, "USD": 200, "ZAR": 100}


def initialize(request: Request, params: Initialize) -> Body:
    """POST /transaction/initialize."""
    store = sandbox_of(request).store
    if params.amount < MINIMUMS[params.currency]:
        raise PaystackRefusal(400, "Invalid Amount Sent", "invalid_amount")
    if params.reference and store.one("transaction", {"reference": params.reference}):
        raise PaystackRefusal(400, "Duplicate Transaction Reference", "duplicate_reference")
    body = objects.transaction(store.count("transaction") + 1, params)
    store.put("transaction", body)
    opened = {
        "authorization_url": f"{origin(request)}/paystack/pay/{body['access_code']}",
        "access_code": body["access_code"],
        "reference": body["reference"],
    }
    return {"status": True, "message": "Authorization URL created", "data": opened}


def verify(request: Request, params: Nothing) -> Body:
    """GET /transaction/verify/{reference}."""
    sandbox = sandbox_of(request)
    found = by_reference(sandbox, request.path_params["reference"])
    return {"status": True, "message": "Verification successful", "data": shown(sandbox, found)}


def fetch(request: Request, params: Nothing) -> Body:
    """GET /transaction/{id}."""
    sandbox = sandbox_of(request)
    found = sandbox.store.get("transaction", str(request.path_params["id"]))
    if found is None:
        raise PaystackRefusal(404, "Transaction ID or reference not found.", "transaction_not_found")
    return {"status": True, "message": "Transaction retrieved", "data": shown(sandbox, found)}


def listing(request: Request, params: Window) -> Body:
    """GET /transaction, newest first."""
    sandbox = sandbox_of(request)
    body = page(sandbox, "transaction", "created_at", params, {"status": params.status} if params.status else {})
    body["data"] = [objects.listed(shown(sandbox, row)) for row in body["data"]]
    return {"status": True, "message": "Transactions retrieved", **body}


def page(sandbox: Sandbox, kind: str, created: str, params: Window, where: Body) -> Body:
    """One page of documents, with Paystack's `meta`."""
    bounds = {f"{created} >=": params.start, f"{created} <=": params.end}
    ranges = {name: value for name, value in bounds.items() if value}
    skipped = (params.page - 1) * params.per_page
    total = sandbox.store.count(kind, where, ranges)
    meta = {
        "total": total,
        "skipped": skipped,
        "perPage": params.per_page,
        "page": params.page,
        "pageCount": ceil(total / params.per_page),
    }
    return {
        "data": sandbox.store.select(kind, where, ranges=ranges, limit=params.per_page, offset=skipped),
        "meta": meta,
    }


def by_reference(sandbox: Sandbox, reference: str) -> Body:
    """The transaction with this reference. Raises PaystackRefusal."""
    found = sandbox.store.one("transaction", {"reference": reference})
    if found is None:
        raise PaystackRefusal(400, "Transaction reference not found.", "transaction_not_found")
    return found


def shown(sandbox: Sandbox, body: Body) -> Body:
    """The transaction as the API shows it under the present faults."""
    return objects.public(body, sandbox.faults["paystack"].metadata_as)


def pay(sandbox: Sandbox, body: Body) -> None:
    """The card is charged."""
    now = objects.stamp()
    body |= {"status": "success", "gateway_response": "Successful", "paid_at": now, "paidAt": now}
    body |= {"authorization": objects.authorization(), "fees": ceil(body["amount"] * 0.015)}
    sandbox.store.put("transaction", body)
    emit(sandbox, "charge.success", shown(sandbox, body) | {"plan": {}})


def decline(sandbox: Sandbox, body: Body) -> None:
    """The card is declined; Paystack posts nothing about it."""
    body |= {"status": "failed", "gateway_response": "Declined"}
    sandbox.store.put("transaction", body)
