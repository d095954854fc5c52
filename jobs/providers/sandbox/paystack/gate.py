"""Every Paystack call: the key, the parameters, then one action in one transaction."""

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from jobs.providers.sandbox.paystack.refusals import PaystackRefusal
from jobs.providers.sandbox.state import sandbox_of
from jobs.providers.sandbox.store import Body

P = TypeVar("P", bound=BaseModel)
Endpoint = Callable[[Request], Awaitable[Response]]


class Nothing(BaseModel):
    """A call without parameters."""


def endpoint(model: type[P], action: Callable[[Request, P], Body]) -> Endpoint:
    """A handler that gives `action` its typed parameters and sends what it returns."""

    async def handle(request: Request) -> Response:
        sandbox = sandbox_of(request)
        try:
            _authenticate(request, sandbox.config.paystack_key)
            params = _typed(model, await _values(request))
            with sandbox.store.transaction():
                return JSONResponse(action(request, params))
        except PaystackRefusal as refusal:
            return refusal.response()

    return handle


def _authenticate(request: Request, expected: str) -> None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise PaystackRefusal(401, "No Authorization Header was found", "unauthorized")
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise PaystackRefusal(401, "Invalid key", "invalid_Key")


async def _values(request: Request) -> Any:
    if request.method == "GET":
        return dict(request.query_params)
    raw = await request.body()
    try:
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return dict(parse_qsl(raw.decode()))
        return json.loads(raw or b"{}")
    except ValueError:
        raise PaystackRefusal(400, "Invalid request body", "invalid_params") from None


def _typed(model: type[P], values: Any) -> P:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _refusal(str(error.errors()[0]["loc"][0]) if error.errors()[0]["loc"] else "body") from None


def _refusal(field: str) -> PaystackRefusal:
    if field == "currency":
        return PaystackRefusal(403, "Currency not supported by merchant", "unsupported_currency")
    if field == "amount":
        return PaystackRefusal(400, "Invalid Amount Sent", "invalid_amount")
    if field == "reference":
        message = "Invalid transaction reference. Only alphanumerics, -, ., = are allowed"
        return PaystackRefusal(400, message, "invalid_reference")
    return PaystackRefusal(400, f"Invalid value for {field}", "invalid_params")


def unknown(request: Request, params: Nothing) -> Body:
    """The action of an address that the sandbox does not know."""
    raise PaystackRefusal(404, "Endpoint not found", "unknown_endpoint")
