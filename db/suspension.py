"""Suspends and resumes a whole organization: nobody of it gets in, no key works, its data stays as it is."""

from db.errors import NotFound
from db.pool import Tenant
from db.statements import load

queries = load("suspension")


async def suspend(tenant: Tenant, *, operator: str, reason: str) -> bool:
    """Refuse everything of the organization in context from the commit and the following bump on.

    Returns False when it was suspended before. Raises NotFound when there is no such organization.
    """
    return await _change(tenant, "suspend", "suspended", operator, reason)


async def resume(tenant: Tenant, *, operator: str, reason: str) -> bool:
    """Let it in again; False when it was not suspended. Raises NotFound."""
    return await _change(tenant, "resume", "active", operator, reason)


async def _change(tenant: Tenant, act: str, status: str, operator: str, reason: str) -> bool:
    before = await queries.status(tenant.conn)
    if before is None:
        raise NotFound("The organization")
    if before == status:
        return False
    await queries.set_status(tenant.conn, status=status)
    await queries.record(
        tenant.conn, organization_id=tenant.organization_id, kind=act, reason=reason, operator=operator
    )
    return True
