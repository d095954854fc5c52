"""Customers' messages: the row is the queue, its status moves forward alone."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from db.pool import Database, Tenant
from db.statements import load
from db.types import ApiKeyId, MessageId, OrganizationId, new_id

queries = load("messages")

Type = Literal["sms", "email"]
Status = Literal["queued", "sent", "delivered", "failed"]
LAST = UUID(int=(1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked message that a key asks to send; `recipient` in its canonical form."""

    api_key_id: ApiKeyId
    type: Type
    recipient: str
    body: str
    subject: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    segments: int = 1
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message as its sender sees it."""

    id: MessageId
    type: Type
    recipient: str
    subject: str | None
    status: Status
    error: str | None
    segments: int
    metadata: dict[str, Any]
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message in a worker's hands."""

    id: MessageId
    type: Type
    recipient: str
    subject: str | None
    body: str
    is_test: bool
    attempts: int
    claimed_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt; `next_attempt_at` for one that is queued again."""

    status: Literal["queued", "sent", "delivered", "failed", "unknown"]
    provider: str | None = None
    provider_id: str | None = None
    segments: int | None = None
    error: str | None = None
    next_attempt_at: datetime | None = None


async def create(tenant: Tenant, draft: Draft, now: datetime) -> MessageId:
    """Queue a message and announce it to the workers, both with the caller's transaction."""
    message_id = MessageId(new_id())
    await queries.create(
        tenant.conn, organization_id=tenant.organization_id, id=message_id, api_key_id=draft.api_key_id,
        type=draft.type, recipient=draft.recipient, subject=draft.subject, body=draft.body, metadata=draft.metadata,
        segments=draft.segments, is_test=draft.is_test, now=now,
    )  # fmt: skip
    return message_id


async def get(tenant: Tenant, message_id: MessageId) -> Message | None:
    """One message, or None."""
    row = await queries.get(tenant.conn, organization_id=tenant.organization_id, id=message_id)
    return _message(row) if row else None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks with a key: what a tenant transaction would carry in its context."""

    organization_id: OrganizationId
    api_key_id: ApiKeyId
    request_id: str
    address: str


async def send(database: Database, caller: Caller, draft: Draft, now: datetime) -> MessageId:
    """As `create`, in a transaction of its own and one round trip."""
    message_id = MessageId(new_id())
    async with database.statement() as conn:
        await queries.send(
            conn, **_context(caller), id=message_id, type=draft.type, recipient=draft.recipient, subject=draft.subject,
            body=draft.body, metadata=draft.metadata, segments=draft.segments, is_test=draft.is_test, now=now,
        )  # fmt: skip
    return message_id


async def show(database: Database, organization_id: OrganizationId, message_id: MessageId) -> Message | None:
    """As `get`, in a transaction of its own and one round trip."""
    async with database.statement() as conn:
        row = await queries.show(conn, organization_id=organization_id, id=message_id)
    return _message(row) if row else None


def _context(caller: Caller) -> dict[str, Any]:
    return {
        "organization_id": caller.organization_id, "api_key_id": caller.api_key_id, "request_id": caller.request_id,
        "address": caller.address,
    }  # fmt: skip


async def page(
    tenant: Tenant, *, before: UUID = LAST, limit: int, status: Status | None = None, kind: Type | None = None
) -> list[Message]:
    """Up to `limit` messages older than `before`, newest first."""
    inner = {"queued": "queued,sending", "sent": "sent,unknown"}.get(status or "", status)
    rows = queries.page(
        tenant.conn, organization_id=tenant.organization_id, before=before, limit=limit, status=inner, type=kind
    )
    return [_message(row) async for row in rows]


async def waiting_organizations(database: Database, page_size: int = 100) -> AsyncIterator[OrganizationId]:
    """Every organization with messages waiting, in order of id."""
    after = UUID(int=0)
    while True:
        async with database.resolver(read_only=True) as conn:
            rows = [row async for row in queries.waiting_organizations(conn, after=after, page_size=page_size)]
        for row in rows:
            yield row["organization_id"]
        if len(rows) < page_size:
            return
        after = rows[-1]["organization_id"]


async def claim(tenant: Tenant, batch: int, now: datetime) -> list[Claimed]:
    """Take up to `batch` due messages."""
    rows = queries.claim(tenant.conn, organization_id=tenant.organization_id, batch=batch, now=now)
    return [_claimed(row) async for row in rows]


async def claim_abandoned(tenant: Tenant, batch: int, before: datetime, now: datetime) -> list[Claimed]:
    """Take over messages that were claimed before `before` and never settled; `claimed_at` is the first holder's."""
    rows = queries.claim_abandoned(
        tenant.conn, organization_id=tenant.organization_id, batch=batch, before=before, now=now
    )
    return [_claimed(row) async for row in rows]


async def settle(tenant: Tenant, message_id: MessageId, outcome: Outcome, now: datetime) -> None:
    """Write the outcome of an attempt; nothing changes when a call-back was faster."""
    await queries.settle(
        tenant.conn, organization_id=tenant.organization_id, id=message_id, status=outcome.status,
        provider=outcome.provider, provider_id=outcome.provider_id, segments=outcome.segments, error=outcome.error,
        next_attempt_at=outcome.next_attempt_at, now=now,
    )  # fmt: skip


async def advance(
    tenant: Tenant,
    message_id: MessageId,
    status: Status,
    provider: str,
    provider_id: str,
    error: str | None,
    now: datetime,
) -> bool:
    """Move a message forward on its provider's word; False when it stood there or further already."""
    moved: int = await queries.advance(
        tenant.conn, organization_id=tenant.organization_id, id=message_id, status=status, provider=provider,
        provider_id=provider_id, error=error, now=now,
    )  # fmt: skip
    return moved > 0


async def withdraw(tenant: Tenant) -> int:
    """Take the announcements back unless messages are left; returns how many are."""
    await queries.withdraw(tenant.conn)
    left: int = await queries.count_unsettled(tenant.conn, organization_id=tenant.organization_id)
    if left:
        await queries.announce(tenant.conn)
    return left


async def bounce(tenant: Tenant, message_id: MessageId, error: str, now: datetime) -> None:
    """Write that an e-mail came back after it was sent; nothing changes for one that failed already."""
    await queries.bounce(tenant.conn, organization_id=tenant.organization_id, id=message_id, error=error, now=now)


async def recipient(tenant: Tenant, message_id: MessageId) -> str | None:
    """Whom a message was for, or None without it."""
    found: str | None = await queries.recipient(tenant.conn, organization_id=tenant.organization_id, id=message_id)
    return found


async def organization_name(tenant: Tenant) -> str:
    """The name that stands under the organization's e-mail."""
    name: str = await queries.organization_name(tenant.conn, organization_id=tenant.organization_id)
    return name


_SEEN_AS = {"sending": "queued", "unknown": "sent"}


def _message(row: Any) -> Message:
    values = dict(row)
    return Message(**values | {"status": _SEEN_AS.get(values["status"], values["status"])})


def _claimed(row: Any) -> Claimed:
    return Claimed(
        row["id"], row["type"], row["recipient"], row["subject"], row["body"], row["is_test"], row["attempts"],
        row["claimed_at"],
    )  # fmt: skip
