"""One log event and one measurement for every answer: what was asked by template, never by raw path or query."""

from datetime import UTC, datetime

from starlette.types import ASGIApp, Receive, Scope, Send

from api.exchange import Exchange
from api.metrics import METHODS, observe
from jobs.logs import SoonWriter, is_written


class Logging:
    """Pure ASGI middleware.

    Its line has the form of every other log line, but is put together here: a general renderer would cost as much as
    the rest of a small request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._writes_info = is_written("info")
        self._writes_debug = is_written("debug")
        self._output = SoonWriter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange: Exchange = scope["exchange"]
        try:
            await self.app(scope, receive, send)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "other"
            duration = exchange.duration
            declared = exchange.declared
            observe(exchange.route, method, exchange.status, duration)
            if self._writes_debug if declared is not None and declared.quiet else self._writes_info:
                self._output.write(_line(method, duration, exchange))


def _line(method: str, seconds: float, exchange: Exchange) -> str:
    """Every value in it is ours or plain: nothing needs escaping."""
    organization = f',"organization_id":"{exchange.organization_id}"' if exchange.organization_id else ""
    return (
        f'{{"method":"{method}","route":"{exchange.route}","status":{exchange.status},'
        f'"duration_ms":{seconds * 1000:.2f},"request_id":"{exchange.request_id}"{organization},'
        f'"event":"http.request","level":"info","at":"{datetime.now(UTC).isoformat()[:-6]}Z"}}'
    )
