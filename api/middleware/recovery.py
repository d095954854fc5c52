"""Turns every error into the envelope; a fault of ours is logged with its stack and shown to nobody."""

import structlog
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
            if exchange.status:  # the answer has begun: only a broken connection tells that it is not whole
                raise
            await recover(error, exchange).send(send)


def recover(error: Exception, exchange: Exchange) -> Reply:
    """The answer for any exception, in the form of the endpoint that raised it; logs a fault of ours."""
    refusal = error if isinstance(error, DomainError) else None
    if refusal is None:
        log.error("http.fault", route=exchange.route, exc_info=error)
        refusal = errors.internal()
    if exchange.endpoint is not None:
        return exchange.endpoint.error(refusal, exchange)
    return errors.reply(refusal, exchange)
