"""Open connections of one role: handed out first come, first served, the last used first, closed when long unused.

The driver's own pool makes two tasks and two timers for each use and wraps every call; that took a third of a small
request. Ours hands out the connection itself.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

IDLE_SECONDS = 300.0
CLOSE_SECONDS = 5.0


class Connections:
    """At most `size` connections, made by `connect` when they are needed."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], size: int) -> None:
        self._connect = connect
        self._size = size
        # Fair: without a queue in front the 99th percentile was fifteen times worse.
        self._turn = asyncio.Semaphore(size)
        self._idle: list[tuple[Any, float]] = []
        self._open: set[Any] = set()
        self._is_cut = False
        self._look: asyncio.TimerHandle | None = None

    async def take(self) -> Any:
        """An open connection; wait for one's turn. Raises what connecting raises, InterfaceError after `cut`."""
        await self._turn.acquire()
        try:
            if self._is_cut:
                raise asyncpg.InterfaceError("the connections were cut")
            while self._idle:
                conn, _ = self._idle.pop()
                if not conn.is_closed():
                    return conn
            conn = await self._connect()
            self._open = {each for each in self._open if not each.is_closed()} | {conn}
            return conn
        except BaseException:
            self._turn.release()
            raise

    def give_back(self, conn: Any) -> None:
        """Let the next have a connection; one that is not as it was when new is thrown away."""
        if not conn.is_closed():
            if conn.is_in_transaction():
                conn.terminate()
            else:
                self._idle.append((conn, time.monotonic()))
                self._watch()
        self._turn.release()

    async def close(self) -> None:
        """Wait until nobody uses a connection any more, then close all of them."""
        for _ in range(self._size):
            await self._turn.acquire()
        if self._look is not None:
            self._look.cancel()
        await asyncio.gather(*(_close(conn) for conn, _ in self._idle))
        self._idle.clear()

    def cut(self) -> None:
        """Close all connections at once, also those in use; nobody gets one any more."""
        self._is_cut = True
        for conn in self._open:
            conn.terminate()

    def _watch(self) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(IDLE_SECONDS / 4, self._close_unused)

    def _close_unused(self) -> None:
        """The least used stand first."""
        self._look = None
        since = time.monotonic() - IDLE_SECONDS
        while self._idle and self._idle[0][1] < since:
            conn, _ = self._idle.pop(0)
            conn.terminate()
        if self._idle:
            self._watch()


async def _close(conn: Any) -> None:
    try:
        await conn.close(timeout=CLOSE_SECONDS)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        conn.terminate()  # the server was gone already
