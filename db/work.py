"""Which organizations have something waiting: a row in the directory, so that no sweep has to open every one."""

from collections.abc import AsyncIterator
from typing import Literal
from uuid import UUID

from db.pool import Database, Tenant
from db.statements import load
from db.types import OrganizationId

queries = load("work")

Kind = Literal["plan_change", "dunning", "payments", "usage_alert"]


async def announce(tenant: Tenant, kind: Kind) -> None:
    """Say, with the caller's transaction, that its organization has work waiting."""
    await queries.announce(tenant.conn, kind=kind)


async def withdraw(tenant: Tenant, kind: Kind) -> None:
    """Take it back; the caller then looks once more and announces again what is left."""
    await queries.withdraw(tenant.conn, kind=kind)


async def waiting(database: Database, kind: Kind, page_size: int = 500) -> AsyncIterator[OrganizationId]:
    """The organizations with work of a kind, in order, read in pages."""
    after = UUID(int=0)
    while True:
        async with database.resolver(read_only=True) as conn:
            rows = queries.waiting(conn, kind=kind, after=after, page_size=page_size)
            page = [row["organization_id"] async for row in rows]
        for organization_id in page:
            yield organization_id
        if len(page) < page_size:
            return
        after = page[-1]
