"""Notices the request that reaches 80 or 100 % of a hard quota, and says to the workers whose it was."""

import asyncio

import structlog

from db import work
from db.errors import Unavailable
from db.pool import Database
from db.types import SYSTEM, OrganizationId

log = structlog.get_logger()
# The request's record is committed before its answer leaves; the announcement comes well after it.
PAUSE_SECONDS = 2.0


class QuotaWatch:
    """What a process saw of quotas; the counter passes each number once, so one process sees each threshold once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reached: set[OrganizationId] = set()
        self._teller: asyncio.Task[None] | None = None

    def saw(self, organization_id: OrganizationId, used: int, quota: int) -> None:
        """This request was number `used` of the month."""
        if used != quota and used != -(-quota * 4 // 5):
            return
        self._reached.add(organization_id)
        if self._teller is None:
            self._teller = asyncio.get_running_loop().create_task(self._tell_later())

    async def close(self) -> None:
        """Announce what was seen."""
        if self._teller is not None:
            self._teller.cancel()
            self._teller = None
        await self._tell()

    async def _tell_later(self) -> None:
        await asyncio.sleep(PAUSE_SECONDS)
        self._teller = None
        await self._tell()

    async def _tell(self) -> None:
        """Announce each organization; one that is lost here is found by the hourly look at all."""
        reached, self._reached = self._reached, set()
        for organization_id in reached:
            try:
                async with self._database.tenant(organization_id, SYSTEM) as tenant:
                    await work.announce(tenant, "usage_alert")
            except Unavailable:
                log.warning("usage.threshold_not_announced", organization_id=str(organization_id))
