"""The one place that turns an error into an answer."""

from typing import Any

from api.error_table import ERRORS
from api.exchange import Exchange
from api.reply import JSON, NO_STORE, PROBLEM, Reply, dumps
from db.errors import DomainError, NotFound


class Refused(DomainError):
    """A request refused by HTTP itself, with a status other than its code's usual one."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(code, message, None, headers)
        self.status = status


def status_of(error: DomainError) -> int:
    """The HTTP status of an error; an unlisted code is a fault of ours and answers 500."""
    if isinstance(error, Refused):
        return error.status
    kind = ERRORS.get(error.code)
    return kind.status if kind else 500


def reply(error: DomainError, exchange: Exchange) -> Reply:
    """The answer for an error: our envelope, or problem details (RFC 9457) when the caller asks for them."""
    status = status_of(error)
    if b"problem+json" in exchange.request_headers.get(b"accept", b""):
        body, kind = _problem(error, status, exchange), PROBLEM
    else:
        body, kind = _envelope(error, exchange), JSON
    headers = [kind, NO_STORE]
    headers += [
        (name.lower().encode("latin-1"), str(value).encode("latin-1")) for name, value in (error.headers or {}).items()
    ]
    return Reply(status, body, headers)


def internal() -> DomainError:
    """A fault of ours, as the caller may see it: the answer adds nothing but the request id."""
    return DomainError("INTERNAL_ERROR", "Something went wrong on our side")


def from_http(status: int, headers: dict[str, str]) -> DomainError:
    """What the web framework refuses by itself, in our terms."""
    if status == 404:
        return NotFound("What you asked for was")
    if status == 405:
        return Refused(405, "METHOD_NOT_ALLOWED", "This address does not answer to that method", headers)
    return Refused(status, "INVALID_REQUEST" if status < 500 else "INTERNAL_ERROR", "The request was refused", headers)


def doc_url(code: str, exchange: Exchange) -> str:
    """The documentation section of an error code."""
    return f"{exchange.edge.base_url}/docs/errors#{code}"


def _envelope(error: DomainError, exchange: Exchange) -> bytes:
    content = {
        "code": error.code,
        "message": error.message,
        "details": error.details or {},
        "request_id": exchange.request_id,
        "doc_url": doc_url(error.code, exchange),
    }
    return dumps({"success": False, "error": content})


def _problem(error: DomainError, status: int, exchange: Exchange) -> bytes:
    kind = ERRORS.get(error.code)
    content: dict[str, Any] = {
        "type": doc_url(error.code, exchange),
        "title": kind.title if kind else error.code,
        "status": status,
        "detail": error.message,
        "code": error.code,
        "details": error.details or {},
        "request_id": exchange.request_id,
    }
    return dumps(content)
