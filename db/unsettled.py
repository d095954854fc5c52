"""Quotas that Redis has lost sight of: requests were let through without it, so it counts them anew once it is back."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from db.counters import CountersAway
from db.types import OrganizationId

log = structlog.get_logger()


class Unsettled:
    """Organizations whose count in Redis misses requests of this process; `recount` drops one, to be loaded again."""

    def __init__(self, recount: Callable[[OrganizationId], Awaitable[None]]) -> None:
        self._recount = recount
        self.organizations: set[OrganizationId] = set()
        self._settler: asyncio.Task[None] | None = None

    def note(self, organization_id: OrganizationId) -> None:
        """A request of it was taken, or should have been given back, and Redis may not know."""
        self.organizations.add(organization_id)

    async def settle(self, organization_id: OrganizationId) -> None:
        """Have it counted anew before it is asked for again. Raises CountersAway; then it stays noted."""
        if organization_id not in self.organizations:
            return
        self.organizations.discard(organization_id)
        try:
            await self._recount(organization_id)
        except CountersAway:
            self.note(organization_id)
            raise

    def begin(self) -> None:
        """Redis is back: other processes, too, need the counts of all that were noted here."""
        if self.organizations and self._settler is None:
            self._settler = asyncio.get_running_loop().create_task(self._settle_all())

    def close(self) -> None:
        """Give up; a count that stays wrong is loaded anew with the next change of its organization, or month."""
        if self._settler is not None:
            self._settler.cancel()

    async def _settle_all(self) -> None:
        settled = list(self.organizations)
        try:
            for organization_id in settled:
                await self.settle(organization_id)
        except CountersAway:
            return  # it is gone again, and begins again when it is back
        else:
            log.info("quota.settled", organizations=len(settled))
        finally:
            self._settler = None
