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
        self._late: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Give up what Redis could not be told yet."""
        for bump in self._late:
            bump.cancel()

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
        late = asyncio.create_task(self._try_until_done(organization_id, recount))
        self._late.add(late)
        late.add_done_callback(self._late.discard)

    async def _try(self, organization_id: OrganizationId, recount: bool) -> bool:
        epoch, _, quota = names(organization_id)
        arguments = ["1" if recount else "0", self._clock.now().strftime("%Y-%m")]
        try:
            await self._counters.run("bump", [epoch, quota], arguments, insist=True)
        except CountersAway:
            return False
        return True

    async def _try_until_done(self, organization_id: OrganizationId, recount: bool) -> None:
        done = False
        while not done:
            await asyncio.sleep(PAUSE_SECONDS)
            done = await self._try(organization_id, recount)
