"""The team: its members and their roles, leaving, and handing over ownership."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from api.fields import Answer, Body, Timestamp
from api.http import ANY_USER, Permission, Router, UserCall
from api.people import UserAnswer
from api.permissions import require
from db import invitations, team
from db.errors import Forbidden
from db.types import Role, UserId
from jobs import email as mail
from jobs.team import tell_of_role

router = Router("/team", tag="Team")


class NewRole(Body):
    """What a member is to be."""

    role: Literal["owner", "admin", "member"]


class Successor(Body):
    """Who takes over."""

    user_id: UUID


class MemberAnswer(Answer):
    """A member of the team."""

    id: UUID
    email: str
    full_name: str | None
    role: str
    email_verified: bool
    created_at: Timestamp


class PendingAnswer(Answer):
    """An invitation that was not answered yet."""

    id: UUID
    email: str
    role: str
    invited_by: str = Field(description="E-mail of the person who invited")
    expires_at: Timestamp
    created_at: Timestamp


class TeamAnswer(Answer):
    """Everybody in the team, and who was invited."""

    members: list[MemberAnswer]
    pending_invitations: list[PendingAnswer]
    total_members: int
    total_pending: int


class ChangedUser(Answer):
    """A member after a change."""

    user: UserAnswer


@router.get("/members", access=ANY_USER)
async def listing(call: UserCall) -> TeamAnswer:
    """Everybody in the team, and the invitations that can still be accepted."""
    members = [MemberAnswer.of(each) for each in await team.members(call.tenant)]
    pending = [PendingAnswer.of(each) for each in await invitations.pending(call.tenant, call.now())]
    return TeamAnswer(
        members=members, pending_invitations=pending, total_members=len(members), total_pending=len(pending)
    )


@router.delete("/members/{user_id}", access=Permission.REMOVE_MEMBERS, message="Member removed", errors=("LAST_OWNER",))
async def remove(call: UserCall, user_id: UUID) -> None:
    """Remove a member: the sessions end at once, the API keys stay the organization's. Only owners remove admins."""
    role = await acting_role(call, Permission.REMOVE_MEMBERS)
    await _refuse_oneself(call, user_id)
    member = await team.member(call.tenant, UserId(user_id))
    if member.role == "owner":
        raise Forbidden("PERMISSION_DENIED", "Owners cannot be removed; change the role first")
    if team.RANKS[member.role] >= team.RANKS[role]:
        raise Forbidden("PERMISSION_DENIED", "Only an owner may remove an admin")
    await team.remove(call.tenant, member, call.now())
    await mail.enqueue(call.tenant, "removed_from_team", subject_id=member.id, recipient=member.email)


@router.put("/members/{user_id}/role", access=Permission.CHANGE_ROLES, message="Role changed", errors=("LAST_OWNER",))
async def change_role(call: UserCall, user_id: UUID, body: NewRole) -> ChangedUser:
    """Change a member's role; it holds from the member's next request on."""
    await acting_role(call, Permission.CHANGE_ROLES)
    await _refuse_oneself(call, user_id)
    owners = await team.owners(call.tenant)
    before = await team.role_of(call.tenant, UserId(user_id))
    member = await team.set_role(call.tenant, UserId(user_id), body.role)
    if before != member.role:
        await tell_of_role(call.tenant, member, owners)
    return ChangedUser(user=UserAnswer.of_member(member, call.organization_id))


@router.post("/leave", access=ANY_USER, message="You have left the organization", errors=("LAST_OWNER",))
async def leave(call: UserCall) -> None:
    """Leave the organization; one's sessions there end, one's API keys stay the organization's."""
    await team.lock(call.tenant, call.seat.user_id)
    await team.remove(call.tenant, await team.member(call.tenant, call.seat.user_id), call.now())


@router.post("/transfer-ownership", access=Permission.HAND_OVER_OWNERSHIP, message="Ownership handed over")
async def transfer_ownership(call: UserCall, body: Successor) -> ChangedUser:
    """Make another member the owner; the former owner becomes an admin."""
    await acting_role(call, Permission.HAND_OVER_OWNERSHIP)
    if body.user_id == call.seat.user_id:
        raise Forbidden("PERMISSION_DENIED", "You are the owner already")
    owners = await team.owners(call.tenant)
    successor = await team.hand_over(call.tenant, call.seat.user_id, UserId(body.user_id))
    await tell_of_role(call.tenant, successor, [owner for owner in owners if owner.id != successor.id])
    return ChangedUser(user=UserAnswer.of_member(successor, call.organization_id))


async def acting_role(call: UserCall, permission: Permission) -> Role:
    """Lock the team's seats and check the caller's permission again: what was read before the lock may be over."""
    role = await team.lock(call.tenant, call.seat.user_id)
    require(role, permission)
    return role


async def _refuse_oneself(call: UserCall, user_id: UUID) -> None:
    if user_id != call.seat.user_id:
        return
    if await team.is_last_owner(call.tenant, call.seat.user_id):
        raise team.last_owner()
    raise Forbidden("PERMISSION_DENIED", "Not oneself: leave the team, or hand over ownership")
