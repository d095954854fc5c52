"""Every Stripe call: the key, the parameters, the idempotency key, then one action in one transaction."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from jobs.providers.sandbox.state import Sandbox, origin, sandbox_of
from jobs.providers.sandbox.store import Body
from jobs.providers.sandbox.stripe.forms import nested
from jobs.providers.sandbox.stripe.objects import new_id
from jobs.providers.sandbox.stripe.params import Params
from jobs.providers.sandbox.stripe.refusals import StripeRefusal, invalid

P = TypeVar("P", bound=Params)


@dataclass(frozen=True)
class Call:
    """What an action needs to know about the request it answers."""

    sandbox: Sandbox
    key: str
    request_id: str
    idempotency_key: str | None
    pages: str
    path: str


Endpoint = Callable[[Request], Awaitable[Response]]


def endpoint(model: type[P], action: Callable[[Call, P], Body]) -> Endpoint:
    """A handler that gives `action` its typed parameters; `Call.key` is the `{id}` of the path."""

    async def handle(request: Request) -> Response:
        call = _call(request)
        raw = await request.body() if request.method == "POST" else request.url.query.encode()
        try:
            _authenticate(request, call.sandbox.config.stripe_key)
            status, body, replayed = _answered(call, raw, model, action)
        except StripeRefusal as refusal:
            status, body, replayed = refusal.status, json.dumps({"error": refusal.error}), False
        return Response(body, status, _headers(request, call, replayed), "application/json")

    return handle


def _call(request: Request) -> Call:
    return Call(
        sandbox=sandbox_of(request),
        key=request.path_params.get("id", ""),
        request_id=new_id("req_", 14),
        idempotency_key=request.headers.get("idempotency-key") if request.method == "POST" else None,
        pages=f"{origin(request)}/stripe/pay",
        path=request.url.path,
    )


def _authenticate(request: Request, expected: str) -> None:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in ("bearer", "basic") or not credentials:
        raise StripeRefusal(401, "You did not provide an API key.")
    given = _basic_user(credentials) if scheme.lower() == "basic" else credentials
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise StripeRefusal(401, f"Invalid API Key provided: {given[:8]}****{given[-4:]}", code="api_key_invalid")


def _basic_user(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _answered(call: Call, raw: bytes, model: type[P], action: Callable[[Call, P], Body]) -> tuple[int, str, bool]:
    """Status, JSON and whether it is a replay."""
    key = call.idempotency_key
    fingerprint = hashlib.sha256(call.path.encode() + b"\n" + raw).hexdigest()
    kept = call.sandbox.store.answer("stripe", key) if key else None
    if kept is None:
        return _fresh(call, raw, model, action, fingerprint)
    if kept["fingerprint"] != fingerprint:
        message = (
            f"Keys for idempotent requests can only be used with the same parameters they were first used with: {key}"
        )
        raise StripeRefusal(400, message, kind="idempotency_error")
    return kept["status"], kept["body"], True


def _fresh(
    call: Call, raw: bytes, model: type[P], action: Callable[[Call, P], Body], fingerprint: str
) -> tuple[int, str, bool]:
    params = _parameters(raw, model)
    with call.sandbox.store.transaction():
        body = json.dumps(action(call, params))
        if call.idempotency_key:
            call.sandbox.store.keep_answer("stripe", call.idempotency_key, fingerprint, 200, body)
    return 200, body, False


def _parameters(raw: bytes, model: type[P]) -> P:
    try:
        return model.model_validate(nested(parse_qsl(raw.decode(), keep_blank_values=True)))
    except ValidationError as error:
        raise invalid(error) from None
    except UnicodeDecodeError:
        raise StripeRefusal(400, "Invalid request: the body is not UTF-8.") from None


def _headers(request: Request, call: Call, replayed: bool) -> dict[str, str]:
    headers = {"request-id": call.request_id, "stripe-version": request.headers.get("stripe-version", "")}
    if call.idempotency_key:
        headers["idempotency-key"] = call.idempotency_key
    return headers | ({"idempotent-replayed": "true"} if replayed else {})


def unknown(call: Call, params: Params) -> Body:
    """The action of an address that the sandbox does not know."""
    raise StripeRefusal(404, f"Unrecognized request URL ({call.path.removeprefix('/stripe')}).")
