"""Turns every error into the envelope; a fault of ours is logged with its stack and shown to nobody."""

from collections.abc import Callable

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from api import errors
from api.exchange import Exchange
from api.reply import Reply
from db.errors import DomainError

log: structlog.stdlib.BoundLogger = structlog.get_logger("api")


class Recovery:
    """Pure ASGI middleware; `unrouted` makes the answer where no endpoint was found."""

    def __init__(self, app: ASGIApp, unrouted: Callable[[DomainError, Exchange], Reply] = errors.reply) -> None:
        self.app = app
        self.unrouted = unrouted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange: Exchange = scope["exchange"]
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            if exchange.status:  # the answer has begun: only a broken connection tells that it is not whole
                raise
            reply = exchange.error_reply or self.unrouted
            await reply(refusal_of(error, exchange), exchange).send(send)


def refusal_of(error: Exception, exchange: Exchange) -> DomainError:
    """What the caller may know of an exception: a refusal as it is, a fault of ours – logged here – by its id alone."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, HTTPException):
        return errors.from_http(error.status_code, dict(error.headers or {}))
    log.error("http.fault", route=exchange.route, exc_info=error)
    return errors.internal()
