"""Organizations: made together with their directory row, renamed, and locked for changes of seats."""

from dataclasses import dataclass
from datetime import datetime

from db.errors import NotFound
from db.pool import Tenant
from db.statements import load
from db.types import OrganizationId, Plan

queries = load("organizations")


@dataclass(frozen=True, slots=True)
class Organization:
    """A customer."""

    id: OrganizationId
    name: str
    email: str
    plan: Plan
    created_at: datetime
    updated_at: datetime
    keys_suspended_at: datetime | None = None


async def create(tenant: Tenant, *, name: str, email: str, now: datetime) -> Organization:
    """Make the organization in context, on the free plan, and enter it into the directory."""
    await queries.enter_directory(tenant.conn)
    row = await queries.create(tenant.conn, organization_id=tenant.organization_id, name=name, email=email, now=now)
    return Organization(**row)


async def get(tenant: Tenant) -> Organization:
    """The organization in context."""
    row = await queries.get(tenant.conn, organization_id=tenant.organization_id)
    return _found(row)


async def lock(tenant: Tenant) -> Organization:
    """The organization in context, locked until the transaction ends; whoever changes its seats holds this lock."""
    row = await queries.lock(tenant.conn, organization_id=tenant.organization_id)
    return _found(row)


async def rename(tenant: Tenant, name: str, now: datetime) -> Organization:
    """Give the organization in context another name; invoices issued before keep the old one."""
    row = await queries.rename(tenant.conn, organization_id=tenant.organization_id, name=name, now=now)
    return _found(row)


def _found(row: dict[str, object] | None) -> Organization:
    if row is None:
        raise NotFound("Organization")
    return Organization(**row)  # type: ignore[arg-type]
