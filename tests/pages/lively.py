"""An organization in which everything has happened, for pages that shall show all they can."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from db import billing
from db.pool import Database
from db.types import SYSTEM, OrganizationId
from tests.stack import Stack
from tests.visitors import Person

EVIL = "<script>window.hurt=1</script>\"'><img src=x onerror=window.hurt=1>"


async def make_lively(stack: Stack) -> dict[str, Person]:
    """An owner, an admin and a member of one organization with keys of every kind, usage, an invitation, invoices."""
    owner = await stack.register("Globex")
    admin, member = await stack.join(owner, "admin"), await stack.join(owner)
    await stack.invite(owner)
    keys = [(await owner.post("/keys", {"name": name})).data for name in ("Shop", "Old", EVIL[:200])]
    await owner.post("/keys", {"name": "Trial", "mode": "test", "expires_at": _in_days(30)})
    await member.post("/keys", {"name": "Mine"})
    await owner.delete(f"/keys/{keys[1]['id']}")
    message = {"type": "email", "to": "somebody@mts-test.com", "message": "Hello"}
    for key in (keys[0], keys[2]):
        await stack.http.post("/api/v1/messages/send", json=message, headers={"X-API-Key": key["key"]})
    await make_invoices(stack, UUID(owner.organization["id"]))
    return {"owner": owner, "admin": admin, "member": member}


async def make_invoices(stack: Stack, organization_id: UUID) -> list[UUID]:
    """Close the last three months as if the organization had been on a paid plan; their invoices, oldest first."""
    today = datetime.now(UTC).date()
    months = [_months_before(today, count) for count in (3, 2, 1)]
    start = datetime.combine(months[0], datetime.min.time(), UTC)
    stack.rows(
        "update tenancy.organizations set created_at = %s where organization_id = %s returning organization_id",
        start, organization_id,
    )  # fmt: skip
    stack.rows(
        "insert into billing.plan_segments (organization_id, starts_at, plan) values (%s, %s, 'starter') returning 1",
        organization_id, start,
    )  # fmt: skip
    database = await Database.open(stack.urls.worker, 1, "tests")
    try:
        async with database.resolver() as conn:
            await billing.close_month(conn, months[-1], datetime.now(UTC))
        return [await _close(database, OrganizationId(organization_id), month) for month in months]
    finally:
        await database.close()


async def _close(database: Database, organization_id: OrganizationId, month: date) -> UUID:
    async with database.tenant(organization_id, SYSTEM) as tenant:
        cycle = await billing.close_cycle(tenant, month, datetime.now(UTC), 14)
        assert cycle is not None
        return cycle.id


def _months_before(today: date, count: int) -> date:
    month = today.replace(day=1)
    for _ in range(count):
        month = (month - timedelta(days=1)).replace(day=1)
    return month


def _in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()
