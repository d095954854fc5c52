"""Requests of newcomers that name an Idempotency-Key: what one has made, so that its repetition makes nothing more.

There is no organization yet that could keep the answer, and the answer holds a session: so none is kept. A repetition
proves who asks as the first request did, and gets a new session in the seat that the first one made.
"""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from db.errors import Conflict, Unprocessable
from db.idempotency import KEPT
from db.pool import Tenant
from db.statements import load
from db.types import OrganizationId, UserId

queries = load("accounts")


@dataclass(frozen=True, slots=True)
class FirstRequest:
    """A request under a key: `request_key` says what, by whom and under which key, `request_hash` the rest of it."""

    request_key: bytes
    request_hash: bytes

    @classmethod
    def of(cls, key: str, purpose: str, subject: str, *rest: str | None) -> "FirstRequest":
        """The request of `subject` (an address, a token); never give a password, whose fast hash could be guessed."""
        return cls(_digest(purpose, key, subject), _digest(*(text or "" for text in rest)))


@dataclass(frozen=True, slots=True)
class Made:
    """The seat that a request has made."""

    organization_id: OrganizationId
    user_id: UserId


async def find(conn: Any, request: FirstRequest, now: datetime) -> tuple[Made, bool] | None:
    """What this key has made within a day, and whether it was asked for in the same words; None when it is new."""
    row = await queries.find_first_request(conn, request_key=request.request_key, since=now - KEPT)
    if row is None:
        return None
    return Made(row["organization_id"], row["user_id"]), row["request_hash"] == request.request_hash


async def keep(tenant: Tenant, request: FirstRequest, user_id: UserId, now: datetime) -> None:
    """Take the key for the seat that is about to be made, in its transaction, before anything else.

    Raises Conflict IDEMPOTENCY_KEY_IN_USE for a twin, once the first has finished; asked again it finds what that made.
    """
    kept = await queries.keep_first_request(
        tenant.conn, request_key=request.request_key, request_hash=request.request_hash, user_id=user_id, now=now,
        since=now - KEPT,
    )  # fmt: skip
    if not kept:
        raise Conflict("IDEMPOTENCY_KEY_IN_USE", "A request with this Idempotency-Key is still being answered")


def reused() -> Unprocessable:
    """The answer to a key that comes with other words."""
    return Unprocessable("IDEMPOTENCY_KEY_REUSED", "This Idempotency-Key was used with another request")


def _digest(*parts: str) -> bytes:
    return sha256(b"".join(sha256(part.encode()).digest() for part in parts)).digest()
