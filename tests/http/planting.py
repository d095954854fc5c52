"""Plants one organization with a seat of each role, their session tokens and API keys, through the real doors."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from api import tokens
from db import keys, sessions
from db.pool import Database, Tenant
from db.types import SYSTEM, AccountId, OrganizationId, SessionId, UserId, new_id, system_clock
from settings import Settings

ROLES = ("owner", "admin", "member")


@dataclass(frozen=True)
class Planted:
    """An organization, a token and a session for each role, a key with every scope and one that may only read usage."""

    organization_id: UUID
    tokens: dict[str, str]
    sessions: dict[str, UUID]
    accounts: dict[str, UUID]
    key: str
    narrow_key: str

    def headers(self, role: str) -> dict[str, str]:
        """Authorization of a role."""
        return {"Authorization": f"Bearer {self.tokens[role]}"}


def plant(settings: Settings, plan: str = "starter") -> Planted:
    """Make the organization; everybody but the admin has a verified e-mail."""
    return asyncio.run(_plant(settings, plan))


async def _plant(settings: Settings, plan: str) -> Planted:
    database = await Database.open(settings.database_url.get_secret_value(), 2, "tests")
    organization_id = OrganizationId(new_id())
    found: dict[str, tuple[AccountId, UserId, SessionId]] = {}
    async with database.tenant(organization_id, SYSTEM) as tenant:
        await tenant.conn.execute(
            "insert into tenancy.organizations (organization_id, name, email, plan)"
            " values ($1, 'Acme', 'a@acme.example', $2)",
            organization_id,
            plan,
        )
        await tenant.conn.execute("select identity.open_organization()")
        for role in ROLES:
            found[role] = await _seat(tenant, role)
        owner = found["owner"][1]
        now = system_clock.now()
        key = await keys.create(tenant, name="all", created_by=owner, now=now)
        narrow = await keys.create(tenant, name="usage", created_by=owner, now=now, scopes=["usage:read"])
    await database.close()
    return Planted(
        organization_id,
        {role: _token(settings, organization_id, *ids) for role, ids in found.items()},
        {role: session for role, (_, _, session) in found.items()},
        {role: account for role, (account, _, _) in found.items()},
        key.secret,
        narrow.secret,
    )


async def _seat(tenant: Tenant, role: str) -> tuple[AccountId, UserId, SessionId]:
    account_id, user_id, now = AccountId(new_id()), UserId(new_id()), system_clock.now()
    email = f"{role}-{account_id}@example.com"
    await tenant.conn.execute(
        "select identity.create_account($1, $2, $2, $3, 'not a hash')", account_id, email, role.title()
    )
    if role != "admin":
        await tenant.conn.execute("select identity.mark_verified($1, $2)", account_id, now)
    await tenant.conn.execute(
        "insert into tenancy.users (organization_id, id, account_id, email, role) values ($1, $2, $3, $4, $5)",
        tenant.organization_id, user_id, account_id, email, role,
    )  # fmt: skip
    await tenant.conn.execute("select identity.add_seat($1, $2)", account_id, user_id)
    session_id = await sessions.open_session(
        tenant, account_id=account_id, user_id=user_id, user_agent="tests", address="127.0.0.1", now=now,
        expires_at=now + timedelta(days=1),
    )  # fmt: skip
    return account_id, user_id, session_id


def _token(
    settings: Settings, organization_id: OrganizationId, account_id: AccountId, user_id: UserId, session_id: SessionId
) -> str:
    token, _ = tokens.issue(
        settings, account_id=account_id, user_id=user_id, organization_id=organization_id, session_id=session_id,
        now=system_clock.now(),
    )  # fmt: skip
    return token
