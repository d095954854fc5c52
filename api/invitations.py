"""Inviting people into the team, and their answers."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from api import joining, people, repeating
from api.fields import Answer, Body, Email, GivenPassword, Name, Timestamp, Token
from api.http import PUBLIC, Limit, Permission, PublicCall, Router, UserCall
from api.middleware import authentication
from api.people import SignedInAnswer
from api.team import acting_role
from db import invitations, team
from db.errors import Forbidden
from db.types import InvitationId
from jobs import email as mail

router = Router("/team", tag="Team")


class NewInvitation(Body):
    """Whom to invite."""

    email: Email
    role: Literal["admin", "member"] = "member"


class InvitationToken(Body):
    """The token from the invitation mail."""

    token: Token


class Acceptance(Body):
    """The token from the invitation mail, with what shows who joins."""

    token: Token
    password: GivenPassword | None = Field(
        None, description="A new person's choice, or the account's; not needed when logged in as the invited address"
    )
    full_name: Name | None = None


class InvitationAnswer(Answer):
    """An invitation on its way."""

    invitation_id: UUID
    email: str
    role: str
    expires_at: Timestamp


@router.post(
    "/invite",
    access=Permission.INVITE_MEMBERS,
    status=201,
    message="Invitation sent",
    idempotent=True,
    verified=True,
    errors=("USER_EXISTS", "INVITATION_EXISTS", "EMAIL_NOT_VERIFIED"),
)
async def invite(call: UserCall, body: NewInvitation) -> InvitationAnswer:
    """Invite somebody by e-mail, for seven days; nobody grants more than the own role."""
    role = await acting_role(call, Permission.INVITE_MEMBERS)
    if team.RANKS[body.role] > team.RANKS[role]:
        raise Forbidden("PERMISSION_DENIED", "You cannot grant more than your own role")
    invitation = await invitations.invite(
        call.tenant, email=body.email, role=body.role, invited_by=call.seat.user_id, now=call.now()
    )
    await mail.enqueue(call.tenant, "invitation", subject_id=invitation.id, recipient=invitation.email)
    return InvitationAnswer.of(invitation, invitation_id=invitation.id)


@router.post(
    "/invitations/{invitation_id}/resend",
    access=Permission.INVITE_MEMBERS,
    message="Invitation sent again",
    verified=True,
    errors=("EMAIL_NOT_VERIFIED",),
)
async def resend(call: UserCall, invitation_id: UUID) -> InvitationAnswer:
    """Mail an invitation once more, for seven days from now; its former link is void."""
    await acting_role(call, Permission.INVITE_MEMBERS)
    invitation, mailed = await invitations.renew(call.tenant, InvitationId(invitation_id), call.now())
    await mail.enqueue(call.tenant, "invitation", subject_id=invitation.id, recipient=invitation.email, step=mailed)
    return InvitationAnswer.of(invitation, invitation_id=invitation.id, role=invitation.granted)


@router.delete("/invitations/{invitation_id}", access=Permission.INVITE_MEMBERS, message="Invitation cancelled")
async def cancel(call: UserCall, invitation_id: UUID) -> None:
    """Cancel an invitation; its link is void at once."""
    await invitations.cancel(call.tenant, InvitationId(invitation_id), call.now())


@router.post(
    "/accept-invitation",
    access=PUBLIC,
    message="Welcome to the team",
    limit=Limit("invitation", 30, 60),
    errors=(
        "INVALID_TOKEN",
        "INVALID_CREDENTIALS",
        "USER_EXISTS",
        "TOO_MANY_ATTEMPTS",
        "NOT_FOUND",
        "ORGANIZATION_SUSPENDED",
        "IDEMPOTENCY_KEY_IN_USE",
        "IDEMPOTENCY_KEY_REUSED",
    ),
)
async def accept(call: PublicCall, body: Acceptance) -> SignedInAnswer:
    """Join a team with the token from the mail: a new person chooses a password, an account proves itself.

    Repeated with its Idempotency-Key, it answers with a new session in the seat that the first request made.
    """
    has_session = call.exchange.header(b"authorization") is not None
    claims = authentication.claims(call.exchange, call.resources) if has_session else None
    password = body.password.get_secret_value() if body.password else None
    token = body.token.get_secret_value()
    request = repeating.request_of(call, "accept", token, body.full_name)
    if first := await repeating.find(call, request):
        account = await repeating.account_behind(call, first[0])
        account = await joining.prove_account(call, account, password, claims)
        return people.signed_in(await repeating.enter(call, account, *first))
    result = await joining.accept(call, token, password, body.full_name, claims, request)
    return people.signed_in(result)


@router.post(
    "/decline-invitation",
    access=PUBLIC,
    message="Invitation declined",
    limit=Limit("invitation", 30, 60),
    errors=("INVALID_TOKEN",),
)
async def decline(call: PublicCall, body: InvitationToken) -> None:
    """Decline an invitation for good."""
    await joining.decline(call, body.token.get_secret_value())
