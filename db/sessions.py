"""Sessions: the rows behind tokens, and the seat on whose behalf each request acts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from db.errors import Forbidden, Unauthorized
from db.pool import Database, Tenant
from db.statements import load
from db.types import AccountId, OrganizationId, Plan, Role, SessionId, UserId, new_id

queries = load("sessions")


@dataclass(frozen=True, slots=True)
class Seat:
    """A person in one organization, acting in one session; read anew for every request."""

    account_id: AccountId
    user_id: UserId
    organization_id: OrganizationId
    role: Role
    email: str
    full_name: str | None
    email_verified_at: datetime | None
    session_id: SessionId
    created_at: datetime

    @property
    def email_verified(self) -> bool:
        """Whether the person has proven to own the mailbox."""
        return self.email_verified_at is not None


@dataclass(frozen=True, slots=True)
class Home:
    """The organization of a seat."""

    id: OrganizationId
    name: str
    email: str
    plan: Plan
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """One place where a person is logged in."""

    id: SessionId
    organization_id: OrganizationId
    user_agent: str | None
    address: str | None
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Device:
    """From where a person logged in."""

    user_agent: str | None
    address: str | None


@dataclass(frozen=True, slots=True)
class LogIn(Device):
    """From where and when a session was opened."""

    created_at: datetime


async def seat(tenant: Tenant, session_id: SessionId, user_id: UserId, now: datetime) -> Seat:
    """The seat behind a live session of the tenant's organization, in one statement.

    Raises Unauthorized INVALID_TOKEN when the session has ended or the seat is gone, Forbidden ORGANIZATION_SUSPENDED.
    """
    row = await queries.seat(
        tenant.conn, organization_id=tenant.organization_id, session_id=session_id, user_id=user_id, now=now
    )
    return _seat(row, tenant.organization_id, session_id)


async def whoami(
    database: Database, organization_id: OrganizationId, session_id: SessionId, user_id: UserId, now: datetime
) -> tuple[Seat, Home]:
    """As `seat`, with its organization, in a transaction of its own and one round trip."""
    async with database.statement() as conn:
        row = await queries.whoami(
            conn, organization_id=organization_id, session_id=session_id, user_id=user_id, now=now
        )
    seat_ = _seat(row, organization_id, session_id)
    home = Home(organization_id, row["organization_name"], row["organization_email"], row["plan"], row["founded_at"])
    return seat_, home


def _seat(row: Any, organization_id: OrganizationId, session_id: SessionId) -> Seat:
    """The seat of a row, if there is one and its organization may be entered."""
    if row is None or row["status"] == "erased":
        raise Unauthorized("INVALID_TOKEN", "The token is invalid or has expired")
    if row["status"] != "active":
        raise Forbidden("ORGANIZATION_SUSPENDED", "This organization is suspended")
    return Seat(
        row["account_id"], row["user_id"], organization_id, row["role"], row["email"], row["full_name"],
        row["email_verified_at"], session_id, row["created_at"],
    )  # fmt: skip


async def open_session(
    tenant: Tenant,
    *,
    account_id: AccountId,
    user_id: UserId,
    user_agent: str | None,
    address: str | None,
    now: datetime,
    expires_at: datetime,
) -> SessionId:
    """Open a session for a seat of the tenant's organization; raises Unauthorized when the seat is gone."""
    session_id = SessionId(new_id())
    opened = await queries.open(
        tenant.conn, id=session_id, account_id=account_id, user_id=user_id, user_agent=user_agent, address=address,
        now=now, expires_at=expires_at,
    )  # fmt: skip
    if not opened:
        raise Unauthorized("INVALID_CREDENTIALS", "You have no seat in this organization any more")
    return session_id


async def former_devices(conn: Any, account_id: AccountId, session_id: SessionId) -> list[Device]:
    """From where a person has logged in before this session, in all organizations; sessions are kept for a month."""
    rows = queries.former_devices(conn, account_id=account_id, session_id=session_id)
    return [Device(**row) async for row in rows]


async def log_in_of(tenant: Tenant, session_id: SessionId) -> LogIn | None:
    """From where and when a session of the tenant's organization was opened; only the worker may ask."""
    row = await queries.device(tenant.conn, session_id=session_id)
    return LogIn(**row) if row else None


async def touch(tenant: Tenant, session_id: SessionId, now: datetime) -> None:
    """Note that the session was seen; written at most every five minutes."""
    await queries.touch(tenant.conn, session_id=session_id, now=now)


async def list_live(conn: Any, account_id: AccountId, now: datetime) -> list[Session]:
    """The live sessions of a person in all organizations, the last used first."""
    return [Session(**row) async for row in queries.list_live(conn, account_id=account_id, now=now)]


async def revoke(conn: Any, account_id: AccountId, session_id: SessionId) -> bool:
    """End one session of a person, on every process from the commit on; False when there was none alive."""
    return bool(await queries.revoke(conn, account_id=account_id, session_id=session_id))


async def revoke_all(conn: Any, account_id: AccountId, kept: SessionId | None = None) -> int:
    """End all sessions of a person but the kept one; returns how many."""
    return int(await queries.revoke_all(conn, account_id=account_id, kept=kept))
