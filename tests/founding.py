"""Founds an organization with its owner straight through the database's doors, for tests below the HTTP floor."""

from dataclasses import dataclass
from datetime import UTC, datetime

from db import keys
from db.pool import Database, Tenant
from db.types import SYSTEM, AccountId, OrganizationId, Plan, UserId, new_id

BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Founded:
    """An organization and its owner."""

    organization_id: OrganizationId
    account_id: AccountId
    user_id: UserId


async def found(database: Database, plan: Plan = "free", since: datetime = BEGINNING) -> Founded:
    """A new organization on `plan`, whose owner has a seat and no usable password."""
    founded = Founded(OrganizationId(new_id()), AccountId(new_id()), UserId(new_id()))
    email = f"owner-{founded.user_id.hex[-12:]}@example.com"
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        await _organization(tenant, plan, email, since)
        await tenant.conn.execute("select identity.open_organization()")
        await tenant.conn.execute("select identity.create_account($1, $2, $2, null, '!')", founded.account_id, email)
        await tenant.conn.execute(
            "insert into tenancy.users (organization_id, id, account_id, email, role) values ($1, $2, $3, $4, 'owner')",
            founded.organization_id, founded.user_id, founded.account_id, email,
        )  # fmt: skip
        await tenant.conn.execute("select identity.add_seat($1, $2)", founded.account_id, founded.user_id)
    return founded


async def _organization(tenant: Tenant, plan: Plan, email: str, since: datetime) -> None:
    await tenant.conn.execute(
        "insert into tenancy.organizations (organization_id, name, email, plan, created_at, updated_at)"
        " values ($1, 'Acme', $2, $3, $4, $4)",
        tenant.organization_id, email, plan, since,
    )  # fmt: skip


async def new_key(database: Database, founded: Founded, **options: object) -> keys.NewKey:
    """An API key of the organization's owner."""
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        return await keys.create(
            tenant,
            name="test",
            created_by=founded.user_id,
            now=datetime.now(UTC),
            **options,  # type: ignore[arg-type]
        )
