"""One log event and one measurement for every answer: what was asked by template, never by raw path or query."""

from typing import Any

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from api.exchange import Exchange
from api.metrics import observe

log: structlog.stdlib.BoundLogger = structlog.get_logger("api")


class Logging:
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
        finally:
            self._report(scope["method"], exchange)

    def _report(self, method: str, exchange: Exchange) -> None:
        duration = exchange.duration
        route = exchange.route
        observe(route, method, exchange.status, duration)
        fields: dict[str, Any] = {"status": exchange.status, "duration_ms": round(duration * 1000, 2)}
        if exchange.organization_id is not None:
            fields["organization_id"] = str(exchange.organization_id)
        write = log.debug if exchange.endpoint is not None and exchange.endpoint.declared.quiet else log.info
        write("http.request", method=method, route=route, **fields)
