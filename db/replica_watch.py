"""Looks at the standby twice a second, so that no request has to find out whether it is there and how far behind."""

import asyncio
import contextlib
import time

import structlog
from prometheus_client import Gauge

from db.checks import UnsafeRole
from db.errors import Unavailable
from db.log_watch import LogWatch
from db.pool import Database
from db.standby import Address, Standby, Unusable
from db.statements import load

queries = load("replica")

LOOK_SECONDS = 0.5
LAG = Gauge("replica_lag_seconds", "How far the replica was behind at the last look", multiprocess_mode="mostrecent")
log = structlog.get_logger()


class ReplicaWatch:
    """What one process knows: `trouble` says why nobody reads on the standby; None while all is well."""

    def __init__(self, address: Address, primary: Database, lag_seconds: float) -> None:
        self.trouble: str | None = "has not been looked at"
        self.standby: Standby | None = None
        self.log = LogWatch(lag_seconds)
        self._address = address
        self._primary = primary
        self._lag_seconds = lag_seconds
        self._now = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look once, and from then on; a standby that is away may come later. Raises UnsafeRole."""
        await self._look()
        self._looking = asyncio.create_task(self._look_on())

    def close(self) -> None:
        """Look no more, and close the connections."""
        if self._looking is not None:
            self._looking.cancel()
        self._leave()

    def look_now(self) -> None:
        """Something was noticed: do not wait for the next time."""
        self._now.set()

    async def _look_on(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), LOOK_SECONDS)
            self._now.clear()
            try:
                await self._look()
            except UnsafeRole as error:
                self._found(f"is not safe: {error}")
            except Exception:
                log.exception("replica.look_failed")
                self._found("could not be looked at")

    async def _look(self) -> None:
        """Where the log is, and how far the standby. Without the primary nothing is known, and soon nobody reads."""
        asked_at = time.monotonic()
        with contextlib.suppress(Unavailable):
            async with self._primary.statement() as conn:
                self.log.saw(await queries.written(conn), asked_at)
                system = await queries.system(conn) if self.standby is None else 0
            await self._look_at_standby(system)

    async def _look_at_standby(self, system: int) -> None:
        try:
            if self.standby is None:
                self.standby = await Standby.open(self._address, system)
            lag = self.log.lag(await self.standby.replayed())
        except Unusable as error:
            self._leave()
            self._found(str(error))
        else:
            LAG.set(lag)
            self._found("is too far behind" if lag > self._lag_seconds - 2 * LOOK_SECONDS else None)

    def _leave(self) -> None:
        """Reads under way there fall back to the primary."""
        if self.standby is not None:
            self.standby.cut()
            self.standby = None

    def _found(self, trouble: str | None) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            log.warning("replica.left", reason=trouble) if trouble else log.info("replica.read")
