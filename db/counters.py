"""Scripts in Redis: one round trip for all calls of a tick, short time-outs, no retries, a circuit breaker."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from settings import ROOT

LUA = ROOT / "db" / "lua"
TIMEOUT = 0.2
OPEN_SECONDS = 1.0


class CountersAway(Exception):
    """Redis did not answer in time; nobody may trust what it remembers."""


class Counters:
    """The connection to Redis. `on_connect` is called for every new connection: the server may have lost state."""

    def __init__(self, url: str, on_connect: Callable[[], None] = lambda: None) -> None:
        self.redis = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
            redis_connect_func=_announcing(on_connect),
        )
        self._scripts = {path.stem: path.read_text() for path in LUA.glob("*.lua")}
        self._digests: dict[str, str] = {}
        self._waiting: list[tuple[asyncio.Future[Any], str, list[str], list[str]]] = []
        self._flushes: set[asyncio.Task[None]] = set()
        self._closed_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether Redis failed within the last second: it is not asked again before."""
        return time.monotonic() < self._closed_at

    async def close(self) -> None:
        """Close all connections."""
        await self.redis.aclose()

    async def ping(self) -> None:
        """Raises CountersAway when Redis does not answer."""
        try:
            await asyncio.wait_for(self.redis.ping(), TIMEOUT * 2)
        except (RedisError, OSError, TimeoutError) as error:
            raise CountersAway from error

    async def run(self, script: str, keys: list[str], arguments: list[str]) -> Any:
        """The answer of db/lua/{script}.lua; calls of the same tick share one round trip. Raises CountersAway."""
        if self.is_open:
            raise CountersAway
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((answer, script, keys, arguments))
        if len(self._waiting) == 1:
            loop.call_soon(self._start_flush)
        return await answer

    async def set_if_absent(self, key: str, value: str, seconds: int) -> None:
        """Set a key that does not exist yet, for `seconds`. Raises CountersAway."""
        try:
            await asyncio.wait_for(self.redis.set(key, value, nx=True, ex=seconds), TIMEOUT * 2)
        except (RedisError, OSError, TimeoutError) as error:
            raise CountersAway from error

    def _start_flush(self) -> None:
        calls, self._waiting = self._waiting, []
        flush = asyncio.get_running_loop().create_task(self._flush(calls))
        self._flushes.add(flush)
        flush.add_done_callback(self._flushes.discard)

    async def _flush(self, calls: list[tuple[asyncio.Future[Any], str, list[str], list[str]]]) -> None:
        try:
            answers = await asyncio.wait_for(self._send(calls), TIMEOUT * 2)
        except (RedisError, OSError, TimeoutError) as error:
            self._closed_at = time.monotonic() + OPEN_SECONDS
            answers = [CountersAway(str(error))] * len(calls)
        for (future, *_), answer in zip(calls, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer if isinstance(answer, CountersAway) else CountersAway(str(answer)))
            else:
                future.set_result(answer)

    async def _send(self, calls: list[tuple[asyncio.Future[Any], str, list[str], list[str]]]) -> list[Any]:
        if not self._digests:
            await self._load()
        answers = await self._pipeline(calls)
        if any(isinstance(answer, NoScriptError) for answer in answers):
            await self._load()
            missed = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            for index, answer in zip(missed, await self._pipeline([calls[index] for index in missed]), strict=True):
                answers[index] = answer
        return answers

    async def _pipeline(self, calls: list[tuple[asyncio.Future[Any], str, list[str], list[str]]]) -> list[Any]:
        async with self.redis.pipeline(transaction=False) as pipe:
            for _, script, keys, arguments in calls:
                pipe.evalsha(self._digests[script], len(keys), *keys, *arguments)  # type: ignore[unused-awaitable]
            return list(await pipe.execute(raise_on_error=False))

    async def _load(self) -> None:
        self._digests = {name: await self.redis.script_load(body) for name, body in self._scripts.items()}


def _announcing(on_connect: Callable[[], None]) -> Callable[[Any], Any]:
    async def connect(connection: Any) -> None:
        on_connect()
        await connection.on_connect()

    return connect
