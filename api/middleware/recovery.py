"""Turns every error into the envelope; a fault of ours is logged with its stack and shown to nobody."""

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from api import errors
from api.exchange import Exchange
from api.reply import Reply
from db.errors import DomainError

log: structlog.stdlib.BoundLogger = structlog.get_logger("api")


class Recovery:
    """Pure ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange: Exchange = scope["exchange"]
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            if (
                exchange.status
            ):  # the answer has begun: only breaking the connection tells the caller that it is not whole
                raise
            await recover(error, exchange).send(send)


def recover(error: Exception, exchange: Exchange) -> Reply:
    """The answer for any exception, in the form of the endpoint that raised it; logs a fault of ours."""
    refusal = known(error)
    if refusal is None:
        log.error("http.fault", route=exchange.route, exc_info=error)
        refusal = errors.internal()
    if exchange.endpoint is not None:
        return exchange.endpoint.error(refusal, exchange)
    return errors.reply(refusal, exchange)


def known(error: Exception) -> DomainError | None:
    """The typed error that an exception stands for, or None for a fault of ours."""
    if isinstance(error, DomainError):
        return error
    if isinstance(error, HTTPException):
        return errors.from_http(error.status_code, dict(error.headers or {}))
    return None
