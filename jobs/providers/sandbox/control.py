"""Telling the sandbox to misbehave, and making happen what only a bank or a customer can."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from jobs.providers.sandbox.faults import Faults
from jobs.providers.sandbox.paystack import refunds as paystack_refunds
from jobs.providers.sandbox.paystack.refusals import PaystackRefusal
from jobs.providers.sandbox.state import Sandbox, sandbox_of
from jobs.providers.sandbox.stripe import events, outcomes, reads, refunds
from jobs.providers.sandbox.stripe.refusals import StripeRefusal


class Action(BaseModel):
    """The common parent of what can be made to happen."""

    model_config = ConfigDict(extra="forbid")


class OpenDispute(Action):
    """A customer's bank claims a Stripe payment back."""

    payment_intent: str
    reason: str = "fraudulent"


class CloseDispute(Action):
    """The verdict on a Stripe dispute."""

    dispute: str
    status: Literal["won", "lost"]


class Settle(Action):
    """The bank's answer to a Stripe bank debit."""

    session: str
    outcome: Literal["succeeded", "failed"]


class Resend(Action):
    """A Stripe event is posted again."""

    event: str


class PaystackDispute(Action):
    """A customer's bank claims a Paystack payment back."""

    reference: str


class ClosePaystackDispute(Action):
    """The end of a Paystack dispute."""

    dispute: int
    status: Literal["won", "lost"]


def _open(sandbox: Sandbox, body: OpenDispute) -> Any:
    return refunds.open_dispute(sandbox, body.payment_intent, body.reason)


def _close(sandbox: Sandbox, body: CloseDispute) -> Any:
    return refunds.close_dispute(sandbox, body.dispute, won=body.status == "won")


def _settle(sandbox: Sandbox, body: Settle) -> Any:
    outcomes.settle(sandbox, body.session, succeeded=body.outcome == "succeeded")
    return reads.load(sandbox, "checkout.session", body.session)


def _resend(sandbox: Sandbox, body: Resend) -> Any:
    event = reads.load(sandbox, "event", body.event)
    events.post(sandbox, event)
    return event


def _paystack_dispute(sandbox: Sandbox, body: PaystackDispute) -> Any:
    return paystack_refunds.open_dispute(sandbox, body.reference)


def _close_paystack(sandbox: Sandbox, body: ClosePaystackDispute) -> Any:
    return paystack_refunds.close_dispute(sandbox, body.dispute, won=body.status == "won")


ACTIONS: dict[str, tuple[type[Action], Callable[[Sandbox, Any], Any]]] = {
    "stripe/dispute": (OpenDispute, _open),
    "stripe/close-dispute": (CloseDispute, _close),
    "stripe/settle": (Settle, _settle),
    "stripe/resend": (Resend, _resend),
    "paystack/dispute": (PaystackDispute, _paystack_dispute),
    "paystack/close-dispute": (ClosePaystackDispute, _close_paystack),
}


def control_routes() -> list[BaseRoute]:
    """GET and POST /control, POST /control/{provider}/{action}."""
    return [
        Route("/control", read, methods=["GET"]),
        Route("/control", change, methods=["POST"]),
        Route("/control/{action:path}", act, methods=["POST"]),
    ]


async def read(request: Request) -> Response:
    """The faults of every provider and how its deliveries stand."""
    sandbox = sandbox_of(request)
    return JSONResponse({name: _status(sandbox, name) for name in sandbox.faults})


def _status(sandbox: Sandbox, name: str) -> dict[str, Any]:
    return {**sandbox.faults[name].model_dump(), "deliveries": sandbox.couriers[name].counts()}


async def change(request: Request) -> Response:
    """Set the named faults of one provider; `"reset": true` clears all others first."""
    sandbox = sandbox_of(request)
    body = await request.json()
    name = body.pop("provider", None) if isinstance(body, dict) else None
    if name not in sandbox.faults:
        return JSONResponse({"error": f"provider must be one of {', '.join(sandbox.faults)}"}, 400)
    faults = sandbox.faults[name]
    before = {"requests": faults.requests} if body.pop("reset", False) else faults.model_dump()
    try:
        wanted = Faults.model_validate({**before, **body})
    except ValidationError as error:
        return JSONResponse({"error": error.errors(include_url=False, include_context=False)}, 400)
    for field, value in wanted.model_dump().items():
        setattr(faults, field, value)
    sandbox.couriers[name].awake.set()
    return JSONResponse(_status(sandbox, name))


async def act(request: Request) -> Response:
    """Make something happen."""
    sandbox = sandbox_of(request)
    found = ACTIONS.get(request.path_params["action"])
    if found is None:
        return JSONResponse({"error": f"the actions are {', '.join(ACTIONS)}"}, 404)
    model, action = found
    try:
        body = model.model_validate(await request.json())
        with sandbox.store.transaction():
            return JSONResponse(action(sandbox, body))
    except ValidationError as error:
        return JSONResponse({"error": error.errors(include_url=False, include_context=False)}, 400)
    except (StripeRefusal, PaystackRefusal) as refusal:
        return refusal.response()
