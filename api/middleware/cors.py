"""Which browsers' origins may call: exactly those of the settings, and never with cookies."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from api.exchange import Exchange
from api.reply import Header, Reply

ALLOWED_HEADERS = b"Authorization, Content-Type, Idempotency-Key, X-API-Key, X-Request-ID"
EXPOSED_HEADERS = (
    b"X-Request-ID, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, "
    b"RateLimit, RateLimit-Policy, Retry-After, Idempotent-Replayed"
)
METHODS = b"GET, POST, PUT, PATCH, DELETE"
PREFLIGHT_SECONDS = b"600"
_VARY = (b"vary", b"Origin")


class Cors:
    """Pure ASGI middleware; costs nothing while no origin is configured."""

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self.app = app
        self.origins = frozenset(origin.encode("ascii") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self.origins:
            await self.app(scope, receive, send)
            return
        exchange: Exchange = scope["exchange"]
        exchange.headers.append(_VARY)
        asked = exchange.request_headers
        origin = asked.get(b"origin")
        if origin is not None and self._allows(origin):
            exchange.headers.append((b"access-control-allow-origin", origin))
            if scope["method"] == "OPTIONS" and b"access-control-request-method" in asked:
                await Reply(204, b"", _preflight()).send(send)
                return
            exchange.headers.append((b"access-control-expose-headers", EXPOSED_HEADERS))
        await self.app(scope, receive, send)

    def _allows(self, origin: bytes) -> bool:
        return origin in self.origins or b"*" in self.origins


def _preflight() -> list[Header]:
    return [
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", ALLOWED_HEADERS),
        (b"access-control-max-age", PREFLIGHT_SECONDS),
    ]
