"""The words that all floors share: ids that cannot be mixed, money, actors and the clock."""

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, NewType, Protocol
from uuid import UUID

OrganizationId = NewType("OrganizationId", UUID)
AccountId = NewType("AccountId", UUID)
UserId = NewType("UserId", UUID)
SessionId = NewType("SessionId", UUID)
InvitationId = NewType("InvitationId", UUID)
ApiKeyId = NewType("ApiKeyId", UUID)
MessageId = NewType("MessageId", UUID)
EmailId = NewType("EmailId", UUID)
CycleId = NewType("CycleId", UUID)
PaymentId = NewType("PaymentId", UUID)
CreditNoteId = NewType("CreditNoteId", UUID)
LogPosition = NewType("LogPosition", int)
"""A place in the log of a PostgreSQL server (LSN), in bytes from its beginning; it only grows."""

Role = Literal["owner", "admin", "member"]
Plan = Literal["free", "starter", "pro"]


class _Randomness:
    """The system's random bytes, fetched many at a time: asking for ten costs as much as the rest of making an id."""

    def __init__(self) -> None:
        self._bytes = b""
        self._used = 0
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._bytes, self._used = b"", 0

    def take(self, count: int) -> bytes:
        """So many bytes, never handed out before, in this process or in one forked from it."""
        if self._used + count > len(self._bytes):
            self._bytes, self._used = os.urandom(4096), 0
        self._used += count
        return self._bytes[self._used - count : self._used]


_randomness = _Randomness()


def new_id() -> UUID:
    """A UUID of version 7 (RFC 9562): Unix milliseconds, then random bits, so that keys grow at an index's end."""
    random = int.from_bytes(_randomness.take(10), "big")
    milliseconds = time.time_ns() // 1_000_000
    return UUID(int=milliseconds << 80 | 7 << 76 | (random >> 68) << 64 | 2 << 62 | random & ((1 << 62) - 1))


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in minor units (cents, kobo) of an ISO 4217 currency with two decimals."""

    minor: int
    currency: str = "USD"

    @property
    def decimal(self) -> Decimal:
        """The amount in major units with exactly two decimals."""
        return Decimal(self.minor).scaleb(-2).quantize(Decimal("0.01"))

    def __str__(self) -> str:
        return f"{self.decimal:,} {self.currency}"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts in a tenant transaction; written into the audit trail."""

    kind: Literal["user", "api_key", "job", "system"]
    id: UUID | None = None


SYSTEM = Actor("system")


class Clock(Protocol):
    """The one way to read the time, so that a test can turn it."""

    def now(self) -> datetime:
        """The time now, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The time now, aware, in UTC."""
        return datetime.now(UTC)


system_clock: Clock = SystemClock()
