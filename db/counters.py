"""Scripts in Redis: one round trip for all calls of a tick, short time-outs, no retries, a circuit breaker."""

import asyncio
import time
from collections.abc import Callable
from hashlib import sha1
from typing import Any

import hiredis
import structlog
from prometheus_client import Counter

from db.wire import Lost, Wire, command
from settings import ROOT

LUA = ROOT / "db" / "lua"
TIMEOUT = 0.2
OPEN_SECONDS = 1.0
FAILURES = Counter("redis_failures_total", "Times that Redis was away, or did not answer within 0.2 s")
UNCOUNTED = Counter("redis_calls_without_total", "Calls that were answered without Redis while it was away")
log = structlog.get_logger()

Call = tuple[asyncio.Future[Any], bytes]


class CountersAway(Exception):
    """Redis did not answer in time; nobody may trust what it remembers."""


def source(script: str) -> str:
    """The text of a script as it is sent: what all have in common, and its own part."""
    return (LUA / "prelude.lua").read_text() + (LUA / f"{script}.lua").read_text()


class Counters:
    """The connection to Redis. All of `on_connect` are called for every new one: the server may have lost state."""

    def __init__(self, url: str, on_connect: Callable[[], None] = lambda: None) -> None:
        self.on_connect = [on_connect]
        self._url = url
        self._scripts = {path.stem: source(path.stem) for path in LUA.glob("*.lua") if path.stem != "prelude"}
        self._digests = {name: sha1(text.encode()).hexdigest() for name, text in self._scripts.items()}  # noqa: S324
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._waiting: list[Call] = []
        self._is_away = False
        self._next_try = 0.0

    async def close(self) -> None:
        """Close the connection."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._wire is not None:
            self._wire.close()

    async def ping(self) -> None:
        """Raises CountersAway when Redis does not answer."""
        await self._ask(command(["PING"]), insist=True)

    async def run(self, script: str, keys: list[str], arguments: list[str], *, insist: bool = False) -> Any:
        """The answer of db/lua/{script}.lua; calls of the same tick share one round trip.

        Raises CountersAway when Redis does not answer within 0.2 s, and at once while it was away a second ago; one
        call a second tries again, and with `insist` this one does.
        """
        asked = command(["EVALSHA", self._digests[script], str(len(keys)), *keys, *arguments])
        answer = await self._ask(asked, insist=insist)
        if isinstance(answer, hiredis.ReplyError):
            if not str(answer).startswith("NOSCRIPT"):
                raise CountersAway(str(answer))
            answer = await self._ask(command(["EVAL", self._scripts[script], str(len(keys)), *keys, *arguments]))
        return answer

    async def _ask(self, asked: bytes, *, insist: bool = False) -> Any:
        if self._is_away and not insist:
            if time.monotonic() < self._next_try:
                UNCOUNTED.inc()
                raise CountersAway
            self._next_try = time.monotonic() + OPEN_SECONDS
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((answer, asked))
        if len(self._waiting) == 1:
            loop.call_soon(self._flush)
        try:
            return await answer
        except (Lost, OSError, TimeoutError) as error:
            self._went_away(error)
            raise CountersAway(str(error)) from error

    def _flush(self) -> None:
        """Send what has gathered in this tick, or connect first."""
        if self._wire is not None and self._wire.is_open:
            self._send(self._wire)
        elif self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def _send(self, wire: Wire) -> None:
        calls, self._waiting = self._waiting, []
        wire.send([asked for _, asked in calls], [answer for answer, _ in calls])

    async def _connect(self) -> None:
        """Whatever was remembered is forgotten before the first answer of a new connection can be used."""
        try:
            wire = await Wire.connect(self._url, TIMEOUT)
            for forget in self.on_connect:
                forget()
            self._wire = wire
            self._came_back()
            self._send(wire)
        except (Lost, OSError, TimeoutError) as error:
            calls, self._waiting = self._waiting, []
            for answer, _ in calls:
                if not answer.done():
                    answer.set_exception(Lost(str(error)))
        finally:
            self._connecting = None

    def _went_away(self, error: Exception) -> None:
        self._next_try = time.monotonic() + OPEN_SECONDS
        if not self._is_away:
            self._is_away = True
            FAILURES.inc()
            log.warning("redis.away", error=type(error).__name__)

    def _came_back(self) -> None:
        if self._is_away:
            self._is_away = False
            log.info("redis.back")
