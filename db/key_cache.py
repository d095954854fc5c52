"""What a process remembers of API keys: never a key itself, and good only at the epoch it was read at."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from db.types import ApiKeyId, OrganizationId, Plan

CAPACITY = 50_000
UNKNOWN_CAPACITY = 10_000
UNKNOWN_SECONDS = 5.0
ENTRY_SECONDS = 60.0
"""An entry is read anew after a minute even at its epoch: a process killed between commit and bump told nobody."""


@dataclass(frozen=True, slots=True)
class ResolvedKey:
    """What a key stands for: whose it is, what it may do, its plan's limits; `unit_price` in major units."""

    organization_id: OrganizationId
    api_key_id: ApiKeyId
    plan: Plan
    scopes: frozenset[str]
    is_test: bool
    expires_at: datetime | None
    status: str
    per_minute: int
    month_quota: int | None
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """A resolved key, the epoch of its organization before it was read, and when its reading began (monotonic)."""

    key: ResolvedKey
    epoch: str
    read_at: float


class KeyCache:
    """Entries by digest, the least used forgotten first; forgotten whole when Redis may have lost its epochs."""

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self.generation = 0

    def clear(self) -> None:
        """Forget everything; a fill that began before will not be kept either."""
        self._entries.clear()
        self.generation += 1

    def get(self, digest: bytes) -> Entry | None:
        """What is remembered of a digest; the caller checks its epoch."""
        entry = self._entries.get(digest)
        if entry is not None:
            self._entries.move_to_end(digest)
        return entry

    def put(self, digest: bytes, entry: Entry, generation: int) -> None:
        """Remember an entry whose reading began at `generation`."""
        if generation != self.generation:
            return
        self._entries[digest] = entry
        if len(self._entries) > CAPACITY:
            self._entries.popitem(last=False)

    def drop(self, digest: bytes) -> None:
        """Forget one entry."""
        self._entries.pop(digest, None)

    def is_unknown(self, digest: bytes, monotonic: float) -> bool:
        """Whether this digest led nowhere a few seconds ago."""
        until = self._unknown.get(digest)
        return until is not None and monotonic < until

    def put_unknown(self, digest: bytes, monotonic: float) -> None:
        """Remember for a few seconds that a digest leads nowhere; random keys push out each other alone."""
        self._unknown[digest] = monotonic + UNKNOWN_SECONDS
        self._unknown.move_to_end(digest)
        if len(self._unknown) > UNKNOWN_CAPACITY:
            self._unknown.popitem(last=False)

    def forget_unknown(self, digest: bytes) -> None:
        """A key was created: its digest is no longer unknown."""
        self._unknown.pop(digest, None)
