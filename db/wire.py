"""One connection to Redis on which calls wait in line: written together, answered in order, never longer than agreed.

The common client costs some 80 microseconds of Python for each call; this costs about ten, and opens no second
connection, so that a new one always means that the server may have lost what it held.
"""

import asyncio
import ssl
import time
from collections import deque
from typing import Any, cast

import hiredis
from redis.asyncio.connection import parse_url

Pending = tuple[asyncio.Future[Any], float]


class Lost(Exception):
    """The connection is gone, or an answer took too long; what was asked may have been done."""


class Wire(asyncio.Protocol):
    """An open connection. Answers are text, integers, lists of them, None, or hiredis.ReplyError as a value."""

    def __init__(self, timeout: float) -> None:
        self.is_open = False
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(encoding="utf-8", errors="backslashreplace")
        self._pending: deque[Pending] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    @classmethod
    async def connect(cls, url: str, timeout: float) -> "Wire":
        """A connection that is logged in and in the URL's database. Raises Lost, OSError or TimeoutError."""
        parts: dict[str, Any] = dict(parse_url(url))
        async with asyncio.timeout(timeout):
            wire = await _dial(url, parts, timeout)
            if "password" in parts:
                await wire.call("AUTH", *([parts["username"]] if "username" in parts else []), parts["password"])
            if parts.get("db"):
                await wire.call("SELECT", str(parts["db"]))
            await wire.call("PING")  # a server that is stopped still lets the system accept connections for it
        return wire

    async def call(self, *words: str) -> Any:
        """One command. Raises Lost when Redis refuses it or does not answer."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self.send([command(words)], [future])
        answer = await future
        if isinstance(answer, hiredis.ReplyError):
            raise Lost(str(answer))
        return answer

    def send(self, commands: list[bytes], answers: list[asyncio.Future[Any]]) -> None:
        """Write commands in one go; each answer, or Lost, is put into its future."""
        now = time.monotonic()
        self._pending.extend((answer, now) for answer in answers)
        self._transport.write(b"".join(commands))
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout, self._look)

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            future, _ = self._pending.popleft()
            if not future.done():
                future.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self.is_open = False
        if self._watch is not None:
            self._watch.cancel()
        while self._pending:
            future, _ = self._pending.popleft()
            if not future.done():
                future.set_exception(Lost("the connection to redis was lost"))

    def _look(self) -> None:
        """Hang up on a server that lets somebody wait too long; look again when the next one has waited as long."""
        self._watch = None
        if not self._pending:
            return
        left = self._pending[0][1] + self._timeout - time.monotonic()
        if left <= 0:
            self._transport.abort()
        else:
            self._watch = self._loop.call_later(left, self._look)


async def _dial(url: str, parts: dict[str, Any], timeout: float) -> Wire:
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context() if url.startswith("rediss:") else None
    _, wire = await loop.create_connection(
        lambda: Wire(timeout), parts.get("host", "localhost"), parts.get("port", 6379), ssl=context
    )
    return wire


def command(words: "tuple[str, ...] | list[str]") -> bytes:
    """A command as it travels."""
    packed: bytes = hiredis.pack_command(tuple(words))  # type: ignore[arg-type]  # it takes any number of words
    return packed
