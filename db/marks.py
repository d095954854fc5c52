"""Until where each organization has written: a place in the primary's log, kept in Redis for every process.

A read may go to a standby that has come so far. A mark that is not there says nothing: it may have run out, or Redis
may have lost it.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from itertools import islice

import structlog

from db.counters import Counters, CountersAway
from db.types import LogPosition, OrganizationId

KEPT_SECONDS = 900
PAUSE_SECONDS = 0.05
BATCH = 200
log = structlog.get_logger()


class Marks:
    """What one process tells, and is told."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._late: dict[OrganizationId, LogPosition] = {}
        self._telling: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Give up what Redis could not be told yet."""
        if self._telling is not None:
            self._telling.cancel()

    async def note(self, organizations: Iterable[OrganizationId], position: LogPosition) -> None:
        """What these have committed stands before `position`: told after the commit, before the answer.

        While Redis is away for everybody nobody reads from the standby. For a process that did not notice it is made
        up for in the background, within a twentieth of a second after Redis is back; a standby that lags just then
        may be read without the write.
        """
        await asyncio.gather(*(self._note(organization_id, position) for organization_id in organizations))

    async def of(self, organization_id: OrganizationId) -> LogPosition | None:
        """The organization's mark; None when nobody knows. Raises CountersAway."""
        told: str = await self._counters.run("marked", [_name(organization_id)], [])
        if not told:
            return None
        return LogPosition(max(int(told), self._late.get(organization_id, 0)))

    async def _note(self, organization_id: OrganizationId, position: LogPosition) -> None:
        try:
            await self._tell(organization_id, position)
        except CountersAway:
            self._late[organization_id] = LogPosition(max(position, self._late.get(organization_id, 0)))
            if self._telling is None:
                log.warning("replica.marks_delayed", organization_id=str(organization_id))
                self._telling = asyncio.create_task(self._tell_late())

    async def _tell(self, organization_id: OrganizationId, position: LogPosition, *, insist: bool = False) -> None:
        arguments = [f"{position:020d}", str(KEPT_SECONDS)]
        await self._counters.run("mark", [_name(organization_id)], arguments, insist=insist)

    async def _tell_late(self) -> None:
        try:
            while self._late:
                await asyncio.sleep(PAUSE_SECONDS)
                with contextlib.suppress(CountersAway):  # the next round tries again
                    await self._tell_batch(dict(islice(self._late.items(), BATCH)))
        finally:
            self._telling = None

    async def _tell_batch(self, batch: dict[OrganizationId, LogPosition]) -> None:
        await asyncio.gather(*(self._tell(*late, insist=True) for late in batch.items()))
        for organization_id, position in batch.items():
            if self._late[organization_id] == position:
                del self._late[organization_id]


def _name(organization_id: OrganizationId) -> str:
    return f"written:{{{organization_id}}}"
