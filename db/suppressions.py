"""Who must not be written to on behalf of an organization, and why."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from db.accounts import email_key
from db.errors import NotFound
from db.pool import Tenant
from db.statements import load
from db.types import new_id

queries = load("suppressions")

Channel = Literal["sms", "email"]
Source = Literal["refusal", "bounce", "complaint", "manual"]
LAST = UUID(int=(1 << 128) - 1)
ANY: tuple[Source, ...] = ("refusal", "bounce", "complaint", "manual")
# A member may keep the organization's messages from an address, not the product's own mail.
FROM_OUTSIDE: tuple[Source, ...] = ("refusal", "bounce", "complaint")


@dataclass(frozen=True, slots=True)
class Suppression:
    """One entry of the list; the recipient in the one form by which addresses are compared."""

    id: UUID
    channel: Channel
    recipient: str
    source: Source
    reason: str
    created_at: datetime


async def holds(tenant: Tenant, channel: Channel, recipient: str, sources: tuple[Source, ...] = ANY) -> bool:
    """Whether this recipient must not be written to, for one of these reasons."""
    found: bool = await queries.is_suppressed(
        tenant.conn, organization_id=tenant.organization_id, channel=channel, recipient=_key(channel, recipient),
        sources=list(sources),
    )  # fmt: skip
    return found


async def add(
    tenant: Tenant, channel: Channel, recipient: str, source: Source, reason: str, now: datetime
) -> tuple[Suppression, bool]:
    """Stop writing to a recipient; the entry, and whether it is new: an older one keeps its reason."""
    key = _key(channel, recipient)
    where = {"organization_id": tenant.organization_id, "channel": channel, "recipient": key}
    row = await queries.add(tenant.conn, **where, id=new_id(), source=source, reason=reason[:300], now=now)
    if row is not None:
        return Suppression(**row), True
    return Suppression(**await queries.get(tenant.conn, **where)), False


async def page(
    tenant: Tenant, *, limit: int, before: UUID = LAST, channel: Channel | None = None, recipient: str | None = None
) -> list[Suppression]:
    """Up to `limit` entries older than `before`, the newest first."""
    key = _key(channel or "email", recipient) if recipient else None
    rows = queries.page(
        tenant.conn, organization_id=tenant.organization_id, before=before, limit=limit, channel=channel, recipient=key
    )
    return [Suppression(**row) async for row in rows]


async def remove(tenant: Tenant, suppression_id: UUID) -> None:
    """Take an entry off the list. Raises NotFound."""
    if not await queries.remove(tenant.conn, organization_id=tenant.organization_id, id=suppression_id):
        raise NotFound("Suppression")


def _key(channel: Channel, recipient: str) -> str:
    return email_key(recipient) if channel == "email" else recipient
