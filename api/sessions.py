"""A person's sessions: logging out here or everywhere, switching the organization, changing the password."""

from uuid import UUID

from pydantic import Field

from api import people, signing_in
from api.credentials import authenticate, invalid_credentials
from api.fields import Answer, Body, GivenPassword, Password, Timestamp
from api.http import ANY_USER, Router, UserCall
from api.people import SignedInAnswer
from db import accounts, sessions, team
from db.errors import NotFound, Unauthorized
from db.types import SessionId
from jobs import email as mail

router = Router("/auth", tag="Accounts")


class PasswordChange(Body):
    """The present password and the next."""

    current_password: GivenPassword
    new_password: Password


class Switch(Body):
    """Where to work on."""

    organization_id: UUID


class SessionAnswer(Answer):
    """One place where a person is logged in."""

    id: UUID
    organization_id: UUID
    user_agent: str | None = Field(description="What the device said of itself")
    address: str | None
    created_at: Timestamp
    last_seen_at: Timestamp = Field(description="To five minutes")
    expires_at: Timestamp
    is_current: bool


class SessionList(Answer):
    """All places where a person is logged in."""

    sessions: list[SessionAnswer]


@router.post("/logout", access=ANY_USER, message="Logged out")
async def log_out(call: UserCall) -> None:
    """End this session; its token is refused everywhere from now on."""
    await sessions.revoke(call.tenant.conn, call.seat.account_id, call.seat.session_id)


@router.get("/sessions", access=ANY_USER)
async def listing(call: UserCall) -> SessionList:
    """Where one is logged in, in all organizations, the last used first."""
    live = await sessions.list_live(call.tenant.conn, call.seat.account_id, call.now())
    return SessionList(sessions=[SessionAnswer.of(each, is_current=each.id == call.seat.session_id) for each in live])


@router.delete("/sessions", access=ANY_USER, message="Logged out everywhere")
async def log_out_everywhere(call: UserCall) -> None:
    """End all sessions, this one too."""
    await sessions.revoke_all(call.tenant.conn, call.seat.account_id)


@router.delete("/sessions/{session_id}", access=ANY_USER, message="Session ended")
async def end(call: UserCall, session_id: UUID) -> None:
    """End one of one's own sessions."""
    if not await sessions.revoke(call.tenant.conn, call.seat.account_id, SessionId(session_id)):
        raise NotFound("Session")


@router.post("/switch-organization", access=ANY_USER, transaction=False, message="Switched", errors=("NOT_FOUND",))
async def switch_organization(call: UserCall, body: Switch) -> SignedInAnswer:
    """Go on in another of one's organizations: a new session there takes the place of this one."""
    seat = signing_in.choose(await signing_in.list_seats(call, call.seat.account_id), body.organization_id)
    async with signing_in.acting(call, seat.organization_id, seat.user_id) as tenant:
        if not await sessions.revoke(tenant.conn, call.seat.account_id, call.seat.session_id):
            raise Unauthorized("INVALID_TOKEN", "The token is invalid or has expired")
        member = await team.member(tenant, seat.user_id)
        return people.signed_in(await signing_in.open_session(call, tenant, member, goes_on=True))


@router.post(
    "/change-password",
    access=ANY_USER,
    transaction=False,
    message="Password changed; all other sessions have ended",
    errors=("INVALID_CREDENTIALS", "TOO_MANY_ATTEMPTS"),
)
async def change_password(call: UserCall, body: PasswordChange) -> None:
    """Change the password; all other sessions end, and the owner of the mailbox is told."""
    account = await authenticate(call, call.seat.email, body.current_password.get_secret_value())
    new_password, passwords = body.new_password.get_secret_value(), call.resources.passwords
    await passwords.require_strength(new_password, (account.email, account.full_name), "new_password")
    new_hash = await passwords.hash(new_password)
    async with call.transaction() as tenant:
        await sessions.seat(tenant, call.seat.session_id, call.seat.user_id, call.now())
        if not await accounts.set_password(tenant.conn, account.id, new_hash, account.password_hash):
            raise invalid_credentials()
        await sessions.revoke_all(tenant.conn, account.id, kept=call.seat.session_id)
        await mail.enqueue_account(tenant.conn, account.id, "password_changed")
