"""Large reads on a standby, by nobody who could miss there what his organization has written.

Three things decide, each by itself enough to stay on the primary: the organization's mark (db/marks.py), what the whole
log was some seconds ago (db/log_watch.py), and the standby's own word in the message that begins the read
(`app.require_replayed`), which alone lets a read go on. So nothing that a process remembers can make a read stale.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from prometheus_client import Counter

from db.counters import Counters, CountersAway
from db.marks import Marks
from db.pool import Database, Tenant
from db.replica_watch import ReplicaWatch
from db.standby import GONE, Address
from db.types import Actor, LogPosition, OrganizationId

REST_SECONDS = 1.0
BEHIND_SECONDS = 0.1
NO_STANDBY, NOT_REPLAYED = "REP01", "REP02"
READS = Counter("replica_reads_total", "Reads that may go to the replica, by where they went and why", ["place", "why"])


class ElsewhereError(Exception):
    """The standby did not answer this read: the primary has to."""


class Replica:
    """A standby as one process sees it, and the marks that say who may read there."""

    def __init__(self, address: Address, primary: Database, counters: Counters, lag_seconds: float) -> None:
        self._primary = primary
        self._marks = primary.marks = Marks(counters)
        self._watch = ReplicaWatch(address, primary, lag_seconds)
        self._rests_until = 0.0
        self._behind = (0.0, LogPosition(0))
        counters.on_connect.append(self._doubt)

    async def start(self) -> None:
        """Let reads go there from now on, whenever it is there. Raises UnsafeRole."""
        await self._watch.start()

    async def close(self) -> None:
        """Close the connections."""
        self._marks.close()
        self._watch.close()

    @property
    def trouble(self) -> str | None:
        """Why nobody reads there, such as "does not answer"; None while all is well."""
        return self._watch.trouble

    async def place(self, organization_id: OrganizationId) -> LogPosition | None:
        """What the standby must have replayed to answer for the organization; None when the primary has to answer.

        Asked when the request has come: whatever was answered before is in it.
        """
        wanted, why = await self._wanted(organization_id)
        if wanted is None:
            READS.labels("primary", why).inc()
        return wanted

    @asynccontextmanager
    async def tenant(
        self, organization_id: OrganizationId, actor: Actor, replayed: LogPosition, request_id: str, address: str
    ) -> AsyncIterator[Tenant]:
        """A reading transaction on the standby, once it has `replayed` so much. Raises ElsewhereError."""
        standby = self._watch.standby
        if standby is None:
            READS.labels("primary", "trouble").inc()
            raise ElsewhereError
        try:
            async with standby.door.tenant(
                organization_id, actor, read_only=True, request_id=request_id, address=address, replayed=replayed
            ) as tenant:
                yield tenant
        except GONE as error:
            READS.labels("primary", self._why(error)).inc()
            raise ElsewhereError from error
        READS.labels("replica", "").inc()

    async def _wanted(self, organization_id: OrganizationId) -> tuple[LogPosition | None, str]:
        """As `place`, and why it is the primary."""
        if self.trouble is not None or time.monotonic() < self._rests_until or self._watch.log.floor() is None:
            return None, "trouble"
        try:
            mark = await self._marks.of(organization_id)
        except CountersAway:
            return None, "redis away"
        if mark is None:
            await self._mark_anew(organization_id)
            return None, "no mark"
        floor = self._watch.log.floor()  # once more: Redis may have been connected to anew for this very answer
        if floor is None:
            return None, "trouble"
        wanted = max(mark, floor)
        return (None, "behind") if self._is_known_behind(wanted) else (wanted, "")

    def _doubt(self) -> None:
        """A new connection to Redis may mean lost marks: everybody's reads require what the log is from now on."""
        self._watch.log.doubt()
        self._watch.look_now()

    async def _mark_anew(self, organization_id: OrganizationId) -> None:
        """Nobody knows what the organization has written: so all that anybody has until now."""
        async with self._primary.statement() as conn:
            written = await self._primary.written(conn)
        await self._primary.note([organization_id], written)

    def _is_known_behind(self, wanted: LogPosition) -> bool:
        """Whether the standby has said a moment ago that it has not come so far: the way there is saved."""
        until, reached = self._behind
        return wanted > reached and time.monotonic() < until

    def _why(self, error: BaseException) -> str:
        """What a failed read tells about the standby."""
        state = getattr(error, "sqlstate", None)
        if state == NOT_REPLAYED:
            self._behind = (time.monotonic() + BEHIND_SECONDS, LogPosition(int(getattr(error, "detail", None) or 0)))
            return "behind"
        if isinstance(error, asyncpg.PostgresError) and state != NO_STANDBY:
            return "conflict"  # canceled by recovery, or without a table that the primary has by now
        self._rests_until = time.monotonic() + REST_SECONDS
        self._watch.look_now()
        return "trouble"
