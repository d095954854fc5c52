"""The outermost step: makes the exchange with its ids, and gives every answer its X-Request-ID."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from api.exchange import Edge, Exchange
from db.types import new_id
from jobs.logs import request_context

_PLAIN = re.compile(rb"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


class RequestId:
    """Pure ASGI middleware."""

    def __init__(self, app: ASGIApp, edge: Edge) -> None:
        self.app = app
        self.edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        record_id = new_id()
        exchange = Exchange(scope, send, record_id, self.edge)
        given = exchange.request_headers.get(b"x-request-id")
        if given is not None and _PLAIN.fullmatch(given):
            exchange.request_id = given.decode("ascii")
        exchange.headers.append((b"x-request-id", exchange.request_id.encode("ascii")))
        scope["exchange"] = exchange
        request_context.set({"request_id": exchange.request_id})
        try:
            await self.app(scope, receive, exchange.send)
        finally:
            del scope["exchange"]  # each holds the other: left so, they would wait for the garbage collector
