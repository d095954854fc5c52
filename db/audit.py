"""The trail of an organization: what changed, page by page, and whether its chain of hashes is whole."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from db.pool import Tenant
from db.statements import load

queries = load("audit")

LAST = (1 << 63) - 1
Operation = Literal["insert", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Event:
    """One changed row: old values of its changed columns in `before`, new ones in `after`, secrets redacted."""

    position: int
    occurred_at: datetime
    transaction_id: int
    actor_kind: str
    actor_id: UUID | None
    database_role: str
    request_id: str | None
    client_address: str | None
    table_name: str
    row_key: str
    operation: Operation
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Head:
    """The newest link of a chain: its place, its time and its SHA-256."""

    position: int
    occurred_at: datetime
    hash: bytes


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """Whether a chain is whole; if not, the place of the first broken link and what is wrong with it."""

    is_intact: bool
    events: int
    broken_at: int | None
    reason: str | None


async def page(
    tenant: Tenant, *, limit: int, before: int = LAST, table_name: str | None = None, row_key: str | None = None
) -> list[Event]:
    """The newest `limit` events before a place in the chain, of one table (`schema.table`) or one row if given."""
    asked = {"organization_id": tenant.organization_id, "before": before, "limit": limit}
    if table_name is not None and row_key is not None:
        of_row = queries.page_of_row(tenant.conn, table_name=table_name, row_key=row_key, **asked)
        return [Event(**row) async for row in of_row]
    rows = queries.page(tenant.conn, table_name=table_name, row_key=row_key, **asked)
    return [Event(**row) async for row in rows]


async def head(tenant: Tenant) -> Head | None:
    """The newest link of the organization's chain, or None before the first event."""
    row = await queries.head(tenant.conn, organization_id=tenant.organization_id)
    return Head(**row) if row else None


async def verify(tenant: Tenant) -> ChainVerdict:
    """Walk the organization's chain from its first link; takes time proportional to its length."""
    return ChainVerdict(**await queries.verify(tenant.conn, organization_id=tenant.organization_id))
