"""No body over 1 MiB: refused by its declared length before a byte is read, or while it arrives without one."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.exchange import Exchange
from api.inputs import MAX_BODY, too_large


class BodyLimit:
    """Pure ASGI middleware; the server itself holds a body to its declared length."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            exchange: Exchange = scope["exchange"]
            length = exchange.request_headers.get(b"content-length")
            if length is not None:
                if not length.isdigit() or int(length) > MAX_BODY:
                    raise too_large()
            elif b"transfer-encoding" in exchange.request_headers:
                receive = _counted(receive)
        await self.app(scope, receive, send)


def _counted(receive: Receive) -> Receive:
    total = 0

    async def counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > MAX_BODY:
            raise too_large()
        return message

    return counted
