"""The addresses of the local Paystack: its API and its checkout page, both below /paystack."""

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route

from jobs.providers.sandbox.faults import FaultGate, Faults
from jobs.providers.sandbox.paystack import refunds, transactions
from jobs.providers.sandbox.paystack.gate import Nothing, endpoint, unknown
from jobs.providers.sandbox.paystack.pages import act, show
from jobs.providers.sandbox.paystack.params import Initialize, Refund, Window
from jobs.providers.sandbox.paystack.refusals import broken


def routes(faults: Faults) -> list[BaseRoute]:
    """Everything below /paystack; faults befall the API, not the page."""
    gate = Middleware(FaultGate, faults=faults, broken=broken)
    pages = Route("/pay/{code}", show, methods=["GET"]), Route("/pay/{code}", act, methods=["POST"])
    return [Mount("/paystack", routes=[*pages, Mount("", routes=_api(), middleware=[gate])])]


def _api() -> list[BaseRoute]:
    return [
        Route("/transaction/initialize", endpoint(Initialize, transactions.initialize), methods=["POST"]),
        Route("/transaction/verify/{reference}", endpoint(Nothing, transactions.verify), methods=["GET"]),
        Route("/transaction", endpoint(Window, transactions.listing), methods=["GET"]),
        Route("/transaction/{id:int}", endpoint(Nothing, transactions.fetch), methods=["GET"]),
        Route("/refund", endpoint(Refund, refunds.create), methods=["POST"]),
        Route("/refund", endpoint(Window, refunds.listing), methods=["GET"]),
        Route("/refund/{id:int}", endpoint(Nothing, refunds.fetch), methods=["GET"]),
        Route("/{path:path}", endpoint(Nothing, unknown)),
    ]
