"""When keys were last used: noted in memory to the minute, written in batches, never a write per request."""

import asyncio
import time
from contextlib import suppress
from datetime import datetime

import structlog

from db import keys
from db.errors import Unavailable
from db.pool import Database
from db.types import SYSTEM, ApiKeyId, Clock, OrganizationId

log = structlog.get_logger()
FLUSH_SECONDS = 30.0
REST = 20
"""Writing takes one part in so many of the time: with very many organizations at work it comes less often."""


class LastUse:
    """The last use of keys seen by this process; a crash loses half a minute, more after a long writing."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._seen: dict[OrganizationId, dict[ApiKeyId, datetime]] = {}
        self._flusher: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._took = 0.0

    def note(self, organization_id: OrganizationId, key_id: ApiKeyId) -> None:
        """This key was used now."""
        minute = self._clock.now().replace(second=0, microsecond=0)
        self._seen.setdefault(organization_id, {})[key_id] = minute
        if self._flusher is None:
            self._flusher = asyncio.get_running_loop().create_task(self._flush_later())

    async def close(self) -> None:
        """Write what is noted."""
        self._closing.set()
        if self._flusher is not None:
            await self._flusher
        await self.flush()

    async def flush(self) -> None:
        """Write what is noted, organization by organization; what cannot be written waits for the next time."""
        seen, self._seen = self._seen, {}
        while seen:
            organization_id, used = seen.popitem()
            try:
                async with self._database.tenant(organization_id, SYSTEM) as tenant:
                    await keys.touch(tenant, used)
            except Unavailable:
                seen[organization_id] = used
                log.warning("keys.last_use_not_written", organizations=len(seen))
                self._note_again(seen)
                return

    def _note_again(self, seen: dict[OrganizationId, dict[ApiKeyId, datetime]]) -> None:
        for organization_id, used in seen.items():
            self._seen[organization_id] = used | self._seen.get(organization_id, {})

    async def _flush_later(self) -> None:
        try:
            while self._seen and not self._closing.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(FLUSH_SECONDS, REST * self._took)):
                        await self._closing.wait()
                began = time.monotonic()
                await self.flush()
                self._took = time.monotonic() - began
        finally:
            self._flusher = None
