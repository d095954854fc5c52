"""Epochs: one number in Redis per organization, moved by every change of its keys, plan or status."""

import asyncio
from collections.abc import Callable

import structlog

from db.counters import Counters, CountersAway
from db.types import Clock, OrganizationId

TRIES = 3
PAUSE_SECONDS = 0.05
log = structlog.get_logger()


def names(organization_id: OrganizationId) -> list[str]:
    """What admit.lua reads of an organization: its epoch, its rate and its quota, in one slot of a cluster."""
    organization = f"{{{organization_id}}}"
    return [f"epoch:{organization}", f"rate_limit:{organization}", f"quota:{organization}"]


class Epochs:
    """Moves epochs; `forget` makes this process remember nothing when Redis cannot be told."""

    def __init__(self, counters: Counters, clock: Clock, forget: Callable[[], None]) -> None:
        self._counters = counters
        self._clock = clock
        self._forget = forget
        self._late: dict[OrganizationId, bool] = {}
        self._teller: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Give up what Redis could not be told yet."""
        if self._teller is not None:
            self._teller.cancel()

    async def bump(self, organization_id: OrganizationId, *, recount: bool) -> None:
        """Move an epoch, and with `recount` drop the month's count. Insists for up to 0.6 s.

        While Redis is away for everybody nobody remembers anything. For a process that did not notice it is made up
        for in the background, within a twentieth of a second after Redis is back.
        """
        for _ in range(TRIES):
            if await self._try(organization_id, recount):
                return
        self._forget()
        log.warning("keys.bump_delayed", organization_id=str(organization_id))
        self._note_late(organization_id, recount)
        if self._teller is None:
            self._teller = asyncio.create_task(self._tell_late())

    async def recount(self, organization_id: OrganizationId) -> None:
        """Move an epoch and drop the month's count, once. Raises CountersAway."""
        await self._move(organization_id, recount=True, insist=False)

    async def _try(self, organization_id: OrganizationId, recount: bool) -> bool:
        try:
            await self._move(organization_id, recount=recount, insist=True)
        except CountersAway:
            return False
        return True

    async def _move(self, organization_id: OrganizationId, *, recount: bool, insist: bool) -> None:
        epoch, _, quota = names(organization_id)
        arguments = ["1" if recount else "0", self._clock.now().strftime("%Y-%m")]
        await self._counters.run("bump", [epoch, quota], arguments, insist=insist)

    async def _tell_late(self) -> None:
        """One try in a twentieth of a second, however many changes wait; when it is heard, all the others follow."""
        while self._late:
            await asyncio.sleep(PAUSE_SECONDS)
            for organization_id in list(self._late):
                recount = self._late.pop(organization_id)  # first: a change from here on waits for a try of its own
                if not await self._try(organization_id, recount):
                    self._note_late(organization_id, recount)
                    break
        self._teller = None

    def _note_late(self, organization_id: OrganizationId, recount: bool) -> None:
        self._late[organization_id] = recount or self._late.get(organization_id, False)
