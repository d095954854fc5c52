"""The addresses of the local Stripe: its API below /stripe/v1, its checkout page below /stripe/pay."""

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route

from jobs.providers.sandbox.faults import FaultGate, Faults
from jobs.providers.sandbox.stripe import refunds, sessions
from jobs.providers.sandbox.stripe.gate import endpoint, unknown
from jobs.providers.sandbox.stripe.pages import act, show
from jobs.providers.sandbox.stripe.params import Listing, Nothing, Params, RefundCreate, SessionCreate
from jobs.providers.sandbox.stripe.reads import line_items, listing, retrieve
from jobs.providers.sandbox.stripe.refusals import broken

READABLE = {
    "checkout/sessions": "checkout.session",
    "payment_intents": "payment_intent",
    "charges": "charge",
    "refunds": "refund",
    "disputes": "dispute",
    "events": "event",
}


def routes(faults: Faults) -> list[BaseRoute]:
    """Everything below /stripe; faults befall the API, not the page."""
    gate = Middleware(FaultGate, faults=faults, broken=broken)
    pages = Route("/pay/{id}", show, methods=["GET"]), Route("/pay/{id}", act, methods=["POST"])
    api = [*_writes(), *_reads(), Route("/{path:path}", endpoint(Params, unknown))]
    return [Mount("/stripe", routes=[Mount("/v1", routes=api, middleware=[gate]), *pages])]


def _writes() -> list[BaseRoute]:
    return [
        Route("/checkout/sessions", endpoint(SessionCreate, sessions.create), methods=["POST"]),
        Route("/checkout/sessions/{id}/expire", endpoint(Nothing, sessions.expire), methods=["POST"]),
        Route("/refunds", endpoint(RefundCreate, refunds.create), methods=["POST"]),
    ]


def _reads() -> list[BaseRoute]:
    found: list[BaseRoute] = [
        Route("/checkout/sessions/{id}/line_items", endpoint(Listing, line_items), methods=["GET"])
    ]
    for path, kind in READABLE.items():
        found.append(Route(f"/{path}", endpoint(Listing, listing(kind)), methods=["GET"]))
        found.append(Route(f"/{path}/{{id}}", endpoint(Nothing, retrieve(kind)), methods=["GET"]))
    return found
