"""Loads the count of a month into Redis from the records: once, however many requests find it missing."""

import asyncio

from db import usage
from db.counters import Counters
from db.epochs import names
from db.pool import Database
from db.types import OrganizationId


class QuotaLoads:
    """The loads under way in one process."""

    def __init__(self, database: Database, counters: Counters) -> None:
        self._database = database
        self._counters = counters
        self._loads: dict[OrganizationId, asyncio.Task[None]] = {}

    async def load(self, organization_id: OrganizationId, epoch: str, month: str) -> None:
        """Count what is charged in a month given as YYYY-MM; a change since `epoch`, or another process, wins.

        Who comes while a load is under way waits for that one and asks Redis again. Raises CountersAway, Unavailable.
        """
        load = self._loads.get(organization_id)
        if load is None:
            load = self._loads[organization_id] = asyncio.create_task(self._load(organization_id, epoch, month))
            load.add_done_callback(lambda _: self._loads.pop(organization_id, None))
        await asyncio.shield(load)

    async def _load(self, organization_id: OrganizationId, epoch: str, month: str) -> None:
        used = await usage.count_month(self._database, organization_id, month)
        epoch_name, _, quota = names(organization_id)
        await self._counters.run("load_quota", [epoch_name, quota], [epoch, month, str(used)])
