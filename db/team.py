"""The people of an organization: their seats and roles. Whoever changes seats holds the organization's lock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from db import organizations
from db.errors import Conflict, Forbidden, NotFound
from db.pool import Tenant
from db.statements import load
from db.types import AccountId, Role, UserId

queries = load("team")

RANKS: dict[Role, int] = {"owner": 3, "admin": 2, "member": 1}
_OWNER_NEEDED = "ORG02"


@dataclass(frozen=True, slots=True)
class Member:
    """A person's seat in the organization."""

    id: UserId
    account_id: AccountId
    email: str
    full_name: str | None
    role: Role
    email_verified_at: datetime | None
    created_at: datetime

    @property
    def email_verified(self) -> bool:
        """Whether the person has proven to own the mailbox."""
        return self.email_verified_at is not None


async def add(tenant: Tenant, user_id: UserId, account_id: AccountId, email: str, role: Role, now: datetime) -> Member:
    """Give a person a seat, in the directory too. Raises Conflict USER_EXISTS for a second one."""
    try:
        await queries.add_user(
            tenant.conn, organization_id=tenant.organization_id, id=user_id, account_id=account_id, email=email,
            role=role, now=now,
        )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise already_member() from None
    await queries.enter_directory(tenant.conn, account_id=account_id, user_id=user_id)
    return await member(tenant, user_id)


def already_member() -> Conflict:
    """The answer for a person who has a seat in the organization."""
    return Conflict("USER_EXISTS", "This person is a member of the organization already")


async def members(tenant: Tenant) -> list[Member]:
    """Everybody with a seat, the oldest first."""
    return [Member(**row) async for row in queries.list_members(tenant.conn, organization_id=tenant.organization_id)]


async def owners(tenant: Tenant) -> list[Member]:
    """The owners, the oldest first."""
    return [each for each in await members(tenant) if each.role == "owner"]


async def email_of(tenant: Tenant, user_id: UserId) -> str | None:
    """The e-mail address with which a person joined, also of one who has left."""
    email: str | None = await queries.email_of(tenant.conn, organization_id=tenant.organization_id, user_id=user_id)
    return email


async def member(tenant: Tenant, user_id: UserId) -> Member:
    """One person's seat; raises NotFound, also for a removed one and another organization's."""
    row = await queries.get_member(tenant.conn, organization_id=tenant.organization_id, user_id=user_id)
    if row is None:
        raise NotFound("Member")
    return Member(**row)


async def has_seat(tenant: Tenant, email_key: str) -> bool:
    """Whether the person with this e-mail has a seat."""
    found: bool = await queries.has_seat(tenant.conn, organization_id=tenant.organization_id, email_key=email_key)
    return found


async def role_of(tenant: Tenant, user_id: UserId) -> Role | None:
    """The role of a seat now, None when it was removed."""
    role: Role | None = await queries.role_of(tenant.conn, organization_id=tenant.organization_id, user_id=user_id)
    return role


async def lock(tenant: Tenant, acting: UserId) -> Role:
    """Lock the organization's seats until the transaction ends; returns the role that the acting person has now.

    What was read before the lock may be over: of two owners who demote each other the second is no owner any more.
    Raises Forbidden PERMISSION_DENIED when the seat was removed meanwhile.
    """
    await organizations.lock(tenant)
    role = await role_of(tenant, acting)
    if role is None:
        raise Forbidden("PERMISSION_DENIED", "You have no seat in this organization any more")
    return role


async def set_role(tenant: Tenant, user_id: UserId, role: Role) -> Member:
    """Change a role, under the lock. Raises NotFound, or Conflict LAST_OWNER when no owner would be left."""
    async with _keeping_an_owner(tenant):
        found = await queries.set_role(tenant.conn, organization_id=tenant.organization_id, user_id=user_id, role=role)
        if not found:
            raise NotFound("Member")
    return await member(tenant, user_id)


async def count_notices(tenant: Tenant, kind: str, user_id: UserId, recipient: str) -> int:
    """How many mails of a kind about this person went to the recipient; under the lock it is the next one's step."""
    count: int = await queries.count_notices(
        tenant.conn, organization_id=tenant.organization_id, kind=kind, user_id=user_id, recipient=recipient
    )
    return count


async def hand_over(tenant: Tenant, owner: UserId, successor: UserId) -> Member:
    """Make another member the owner and the present owner an admin, under the lock."""
    await set_role(tenant, successor, "owner")
    await set_role(tenant, owner, "admin")
    return await member(tenant, successor)


async def remove(tenant: Tenant, leaving: Member, now: datetime) -> None:
    """End a seat, its sessions and the invitations it has sent, under the lock; its API keys stay the organization's.

    Raises Conflict LAST_OWNER.
    """
    seat = {"organization_id": tenant.organization_id, "user_id": leaving.id, "now": now}
    async with _keeping_an_owner(tenant):
        await queries.remove(tenant.conn, **seat)
    await queries.leave_directory(tenant.conn, account_id=leaving.account_id)
    ended = [row["id"] async for row in queries.end_invitations_by(tenant.conn, **seat)]
    for invitation_id in ended:
        await queries.forget_token(tenant.conn, id=invitation_id)


async def is_last_owner(tenant: Tenant, user_id: UserId) -> bool:
    """Whether this person is the only owner."""
    owners: int = await queries.count_owners(tenant.conn, organization_id=tenant.organization_id)
    return owners == 1 and await role_of(tenant, user_id) == "owner"


def last_owner() -> Conflict:
    """The answer to whatever would leave an organization without an owner."""
    return Conflict("LAST_OWNER", "An organization needs an owner; hand over ownership first")


@asynccontextmanager
async def _keeping_an_owner(tenant: Tenant) -> AsyncIterator[None]:
    """Asks the constraint trigger at once instead of at commit, so that its refusal has a name."""
    yield
    try:
        await queries.keep_an_owner(tenant.conn)
    except asyncpg.PostgresError as error:
        if error.sqlstate == _OWNER_NEEDED:
            raise last_owner() from None
        raise
