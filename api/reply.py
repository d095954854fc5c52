"""An answer before it leaves: status, headers and the whole body, and the envelope that every JSON answer has."""

import json
from dataclasses import dataclass, field

from pydantic_core import PydanticSerializationError, to_json
from starlette.types import Send

Header = tuple[bytes, bytes]

JSON = (b"content-type", b"application/json")
PROBLEM = (b"content-type", b"application/problem+json")
NO_STORE = (b"cache-control", b"no-store")


@dataclass(slots=True)
class Reply:
    """A complete answer."""

    status: int
    body: bytes
    headers: list[Header] = field(default_factory=list)

    async def send(self, send: Send) -> None:
        """Write the answer; adds its Content-Length unless the status forbids a body."""
        headers = self.headers
        if self.status != 204:
            headers = [*headers, (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def dumps(value: object) -> bytes:
    """Compact UTF-8 JSON of plain values."""
    try:
        return to_json(value, fallback=str)
    except PydanticSerializationError:  # half a surrogate pair, which is no character
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")


def success_head(message: str) -> bytes:
    """The envelope up to its data, made once per endpoint: `success_head(…) + data + b"}"` is the answer."""
    return b'{"success":true,"message":' + dumps(message) + b',"data":'
