"""Stripe's error bodies."""

from typing import Any

from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

CODES = {
    "missing": "parameter_missing",
    "extra_forbidden": "parameter_unknown",
    "int_parsing": "parameter_invalid_integer",
    "string_too_short": "parameter_invalid_empty",
}


class StripeRefusal(Exception):
    """An error answer: HTTP status, and `error` as Stripe fills it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error: dict[str, Any] = {"type": kind, "message": message}
        if code:
            self.error |= {"code": code, "doc_url": f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}"}
        if param:
            self.error["param"] = param

    def response(self) -> JSONResponse:
        """The answer to send."""
        return JSONResponse({"error": self.error}, self.status)


def missing(kind: str, key: str, param: str = "id") -> StripeRefusal:
    """The answer to an id that does not exist."""
    return StripeRefusal(404, f"No such {kind}: '{key}'", code="resource_missing", param=param)


def invalid(error: ValidationError) -> StripeRefusal:
    """The answer to the first wrong parameter."""
    first = error.errors(include_url=False)[0]
    head, *rest = [str(step) for step in first["loc"]] or [""]
    param = head + "".join(f"[{step}]" for step in rest)
    reason = {"missing": "Missing required param", "extra_forbidden": "Received unknown parameter"}
    message = f"{reason.get(first['type'], 'Invalid value for')}: {param}. {first['msg']}."
    return StripeRefusal(400, message, code=CODES.get(first["type"], "parameter_invalid"), param=param)


def broken(status: int) -> Response:
    """What Stripe says when it fails by itself."""
    kind, code = ("invalid_request_error", "rate_limit") if status == 429 else ("api_error", None)
    return StripeRefusal(status, "The sandbox was told to fail this call.", kind=kind, code=code).response()
