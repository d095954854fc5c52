"""Invitations into a team: unique while they live, ended by the first answer, worth no more than their sender."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from db import team
from db.accounts import email_key
from db.errors import Conflict, NotFound, TooMany
from db.pool import Tenant
from db.statements import load
from db.tokens import digest, invalid, make
from db.types import InvitationId, OrganizationId, Role, UserId, new_id

queries = load("team")

InvitedRole = Literal["admin", "member"]
LIFETIME = timedelta(days=7)
MAILS_A_DAY = 100
MAILS_EACH = 6


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation that can still be accepted; `invited_by` is the e-mail of its sender."""

    id: InvitationId
    email: str
    role: InvitedRole
    invited_by: str
    expires_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class OpenInvitation:
    """An invitation as its receiver sees it; `granted` is what accepting it gives now."""

    id: InvitationId
    email: str
    email_key: str
    granted: Role
    organization_name: str
    inviter_email: str
    expires_at: datetime


async def invite(tenant: Tenant, *, email: str, role: InvitedRole, invited_by: UserId, now: datetime) -> Invitation:
    """Invite an e-mail address for seven days, under the organization's lock.

    Raises Conflict USER_EXISTS or INVITATION_EXISTS, TooMany at the day's cap of invitation mails.
    """
    key = email_key(email)
    if await team.has_seat(tenant, key):
        raise team.already_member()
    await _require_mails_left(tenant, now)
    await _end_expired(tenant, key, now)
    row = await queries.invite(
        tenant.conn, organization_id=tenant.organization_id, id=new_id(), email=email, email_key=key, role=role,
        invited_by=invited_by, expires_at=now + LIFETIME, now=now,
    )  # fmt: skip
    if row is None:
        raise Conflict("INVITATION_EXISTS", "This e-mail address has a live invitation; resend or cancel it")
    return Invitation(**row)


async def pending(tenant: Tenant, now: datetime) -> list[Invitation]:
    """The invitations that can still be accepted, oldest first."""
    rows = queries.list_pending(tenant.conn, organization_id=tenant.organization_id, now=now)
    return [Invitation(**row) async for row in rows]


async def renew(tenant: Tenant, invitation_id: InvitationId, now: datetime) -> tuple[OpenInvitation, int]:
    """Let a live invitation run seven more days, to be mailed again with a new token; also one that has expired.

    Returns it with how often it was mailed. Raises NotFound, TooMany at the caps.
    """
    await _require_mails_left(tenant, now)
    renewed = await queries.renew(
        tenant.conn, organization_id=tenant.organization_id, id=invitation_id, expires_at=now + LIFETIME
    )
    if not renewed:
        raise NotFound("Invitation")
    mailed: int = await queries.count_mails_of(tenant.conn, organization_id=tenant.organization_id, id=invitation_id)
    if mailed >= MAILS_EACH:
        raise _too_many_mails()
    invitation = await find_live(tenant, invitation_id, now)
    if invitation is None:
        raise NotFound("Invitation")
    return invitation, mailed


async def cancel(tenant: Tenant, invitation_id: InvitationId, now: datetime) -> None:
    """End a live invitation, expired or not; raises NotFound."""
    if not await queries.cancel(tenant.conn, organization_id=tenant.organization_id, id=invitation_id, now=now):
        raise NotFound("Invitation")
    await queries.forget_token(tenant.conn, id=invitation_id)


async def resolve(conn: Any, token: str) -> tuple[OrganizationId, InvitationId]:
    """Where a token leads; raises Unauthorized INVALID_TOKEN."""
    row = await queries.resolve(conn, token_hash=digest(token))
    if row is None:
        raise invalid()
    return row["organization_id"], row["invitation_id"]


async def open_invitation(tenant: Tenant, invitation_id: InvitationId, now: datetime) -> OpenInvitation:
    """An invitation that can be accepted now; raises Unauthorized INVALID_TOKEN."""
    invitation = await find_live(tenant, invitation_id, now)
    if invitation is None:
        raise invalid()
    return invitation


async def find_live(tenant: Tenant, invitation_id: InvitationId, now: datetime) -> OpenInvitation | None:
    """An invitation that can be accepted now, or None when it is answered, ended, expired, or its sender has left."""
    row = await queries.get_live(tenant.conn, organization_id=tenant.organization_id, id=invitation_id)
    if row is None or row["expires_at"] <= now or row["inviter_role"] is None:
        return None
    granted = min(row["role"], row["inviter_role"], key=team.RANKS.__getitem__)
    return OpenInvitation(
        row["id"], row["email"], row["email_key"], granted, row["organization_name"], row["inviter_email"],
        row["expires_at"],
    )  # fmt: skip


async def accept(tenant: Tenant, invitation_id: InvitationId, now: datetime) -> None:
    """Use an invitation up; of two at once one raises Unauthorized INVALID_TOKEN."""
    if not await queries.accept(tenant.conn, organization_id=tenant.organization_id, id=invitation_id, now=now):
        raise invalid()
    await queries.forget_token(tenant.conn, id=invitation_id)


async def decline(tenant: Tenant, invitation_id: InvitationId, now: datetime) -> None:
    """Refuse an invitation for good; raises Unauthorized INVALID_TOKEN."""
    if not await queries.decline(tenant.conn, organization_id=tenant.organization_id, id=invitation_id, now=now):
        raise invalid()
    await queries.forget_token(tenant.conn, id=invitation_id)


async def issue_token(tenant: Tenant, invitation_id: UUID) -> str:
    """A new token for an invitation, made just before it is mailed; an older one is void."""
    token = make()
    await queries.register_token(tenant.conn, token_hash=digest(token), id=invitation_id)
    return token


async def _end_expired(tenant: Tenant, key: str, now: datetime) -> None:
    rows = queries.end_expired(tenant.conn, organization_id=tenant.organization_id, email_key=key, now=now)
    for invitation_id in [row["id"] async for row in rows]:
        await queries.forget_token(tenant.conn, id=invitation_id)


async def _require_mails_left(tenant: Tenant, now: datetime) -> None:
    since = now - timedelta(days=1)
    mailed = await queries.count_mails(tenant.conn, organization_id=tenant.organization_id, since=since)
    if mailed >= MAILS_A_DAY:
        raise _too_many_mails()


def _too_many_mails() -> TooMany:
    return TooMany("RATE_LIMIT_EXCEEDED", "Too many invitation mails today; try again tomorrow", 3600)
