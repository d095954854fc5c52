"""Wakes a worker once for many rows: the rows are the queue, the job is only the bell."""

import asyncio

import structlog

from db import queue
from db.errors import Unavailable
from db.pool import Database

log = structlog.get_logger()
PACE_SECONDS = 0.02
DRAIN = "messages.drain"


class Waker:
    """Defers one drain job for all that was committed meanwhile. A lost ring loses nothing: the sweep comes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_wanted = False
        self._bell: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Ring soon; called after the commit of rows that wait for a worker."""
        self._is_wanted = True
        if self._bell is None:
            self._bell = asyncio.get_running_loop().create_task(self._ring())

    async def close(self) -> None:
        """Let the bell that rings finish."""
        if self._bell is not None:
            await self._bell

    async def _ring(self) -> None:
        try:
            while self._is_wanted:
                self._is_wanted = False
                await self._defer()
                # Each ring is a NOTIFY, and those serialize commits: the rows of the next moments share one.
                await asyncio.sleep(PACE_SECONDS)
        finally:
            self._bell = None

    async def _defer(self) -> None:
        try:
            async with self._database.resolver() as conn:
                await queue.defer_global(conn, DRAIN, "messages", {}, queue.Options(queueing_lock=DRAIN))
        except Unavailable:
            log.warning("messages.bell_failed")
