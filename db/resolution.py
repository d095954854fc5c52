"""From the digest of a key to what it may do: remembered at an epoch, read once however many ask, or read anew."""

import asyncio
import time

from db import keys
from db.counters import Counters
from db.epochs import names
from db.errors import Unauthorized
from db.key_cache import ENTRY_SECONDS, Entry, KeyCache, ResolvedKey
from db.lookups import Found, Lookups
from db.pool import Database
from db.types import Clock


class Resolution:
    """The keys that one process knows; whoever uses an entry has its epoch checked by Redis in the same breath."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.cache = KeyCache()
        self._database = database
        self._clock = clock
        self._lookups = Lookups(database)
        self._fills: dict[bytes, asyncio.Task[Entry | None]] = {}

    def refuse_unknown(self, digest: bytes) -> None:
        """Raises Unauthorized for a digest that led nowhere a few seconds ago."""
        if self.cache.is_unknown(digest, time.monotonic()):
            raise invalid()

    async def entry(self, digest: bytes, counters: Counters) -> Entry:
        """What is remembered of a key, or what is read of it now.

        Raises Unauthorized for a key that is unknown, revoked or expired, CountersAway without Redis.
        """
        entry = self.cache.get(digest)
        if entry is None or entry.read_at + ENTRY_SECONDS < time.monotonic():
            entry = await self._fill(digest, counters)
        if entry is None:
            raise invalid()
        if entry.key.expires_at is not None and entry.key.expires_at <= self._clock.now():
            self._forget(digest)
            raise invalid()
        return entry

    async def find(self, digest: bytes) -> Found | None:
        """Where a digest leads."""
        return await self._lookups.find(digest)

    async def afresh(self, digest: bytes) -> ResolvedKey:
        """A key as Postgres has it now, past all memory. Raises Unauthorized."""
        found = await self._lookups.find(digest)
        key = await keys.resolve(self._database, found, self._clock.now()) if found else None
        if key is None:
            self._forget(digest)
            raise invalid()
        return key

    def _forget(self, digest: bytes) -> None:
        """It leads nowhere: asked again within seconds, nobody looks."""
        self.cache.drop(digest)
        self.cache.put_unknown(digest, time.monotonic())

    async def _fill(self, digest: bytes, counters: Counters) -> Entry | None:
        """Read a key once, however many requests ask for it at the same moment."""
        fill = self._fills.get(digest)
        if fill is None:
            fill = asyncio.create_task(self._read(digest, counters))
            self._fills[digest] = fill
            fill.add_done_callback(lambda _: self._fills.pop(digest, None))
        return await asyncio.shield(fill)

    async def _read(self, digest: bytes, counters: Counters) -> Entry | None:
        """The epoch is read before the row: a revocation in between makes this entry stale, never trusted."""
        generation, began = self.cache.generation, time.monotonic()
        found = await self._lookups.find(digest)
        epoch = (await counters.run("admit", names(found.organization_id), ["", "0", "-1"]))[1] if found else ""
        key = await keys.resolve(self._database, found, self._clock.now()) if found else None
        if key is None:
            self._forget(digest)
            return None
        entry = Entry(key, epoch, began)
        self.cache.put(digest, entry, generation)
        return entry


def invalid() -> Unauthorized:
    """The one refusal of keys: unknown, revoked and expired are told alike."""
    return Unauthorized("INVALID_API_KEY", "This API key is not valid")
