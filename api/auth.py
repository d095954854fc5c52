"""Registering, logging in, and proving a mailbox or a forgotten password by a token from it."""

from datetime import datetime
from hashlib import sha256
from uuid import UUID

from pydantic import Field

from api import people, repeating, signing_in
from api.credentials import authenticate, forget_failures
from api.fields import Answer, Body, Email, GivenPassword, Name, Password, Timestamp, Token
from api.http import ANY_USER, PUBLIC, Limit, PublicCall, Router, UserCall
from api.people import LoggedInAnswer, MeAnswer, SignedInAnswer
from db import accounts, sessions, tokens
from db.accounts import Account, email_key
from db.errors import Conflict
from jobs import email as mail

router = Router("/auth", tag="Accounts")

RESETS_AN_HOUR = 5


class Registration(Body):
    """A new organization and its owner."""

    organization_name: Name
    email: Email
    password: Password = Field(description="At least 8 characters of any kind; what guessers try first is refused")
    full_name: Name | None = None


class LogIn(Body):
    """Who one is."""

    email: Email
    password: GivenPassword
    organization_id: UUID | None = Field(None, description="Which of one's organizations; the last used by default")


class EmailToken(Body):
    """The token from a verification mail."""

    token: Token


class ResetRequest(Body):
    """Whose password is forgotten."""

    email: Email


class PasswordReset(Body):
    """A new password, with the token from the mail."""

    token: Token
    new_password: Password


class VerifiedEmail(Answer):
    """A proven mailbox."""

    email: str
    email_verified: bool
    verified_at: Timestamp


@router.post(
    "/register",
    access=PUBLIC,
    status=201,
    message="Organization registered. Check your mailbox to verify your e-mail address.",
    limit=Limit("register", 60, 60),
    errors=(
        "EMAIL_TAKEN",
        "TOO_MANY_ATTEMPTS",
        "NOT_FOUND",
        "ORGANIZATION_SUSPENDED",
        "IDEMPOTENCY_KEY_IN_USE",
        "IDEMPOTENCY_KEY_REUSED",
    ),
)
async def register(call: PublicCall, body: Registration) -> SignedInAnswer:
    """Register an organization; with the e-mail and password of an account it gets a further one.

    Repeated with its Idempotency-Key, it answers with a new session in the organization that the first request made.
    """
    password = body.password.get_secret_value()
    request = repeating.request_of(call, "register", email_key(body.email), body.organization_name, body.full_name)
    if first := await repeating.find(call, request):
        account = await signing_in.prove_ownership(call, await repeating.account_behind(call, first[0]), password)
        return people.signed_in(await repeating.enter(call, account, *first))
    result = await signing_in.register(
        call, organization_name=body.organization_name, email=body.email, password=password, full_name=body.full_name,
        request=request,
    )  # fmt: skip
    return people.signed_in(result)


@router.post(
    "/login",
    access=PUBLIC,
    message="Logged in",
    errors=("INVALID_CREDENTIALS", "TOO_MANY_ATTEMPTS", "ORGANIZATION_SUSPENDED"),
)
async def log_in(call: PublicCall, body: LogIn) -> LoggedInAnswer:
    """Log in. Wrong guesses are answered more and more slowly, and nobody can lock somebody else out."""
    account = await authenticate(call, body.email, body.password.get_secret_value())
    seats = await signing_in.list_seats(call, account.id)
    result = await signing_in.sign_in(call, account, signing_in.choose(seats, body.organization_id))
    return people.logged_in(result, await signing_in.memberships(call, seats))


@router.get("/me", access=ANY_USER, at_once=True)
async def me(call: UserCall) -> MeAnswer:
    """Who calls, in which organization."""
    claims, seen, now = call.claims, call.resources.seen, call.now()
    seat, home = await sessions.whoami(
        call.resources.database, claims.organization_id, claims.session_id, claims.user_id, now
    )
    if seen.is_due(seat.session_id, now):
        async with call.transaction() as tenant:
            await seen.touch(tenant, seat.session_id, now)
    return people.me(seat, home)


@router.post("/verify-email", access=PUBLIC, message="E-mail address verified", errors=("INVALID_TOKEN",))
async def verify_email(call: PublicCall, body: EmailToken) -> VerifiedEmail:
    """Prove that a mailbox is one's own, with the token mailed to it; it works once, for a day."""
    account, verified_at = await verify(call, body.token.get_secret_value())
    return VerifiedEmail(email=account.email, email_verified=True, verified_at=verified_at)


@router.post(
    "/request-email-verification",
    access=ANY_USER,
    message="Verification mail sent",
    limit=Limit("verification", 5, 3600),
    errors=("ALREADY_VERIFIED",),
)
async def request_email_verification(call: UserCall) -> None:
    """Ask for another verification mail; its token replaces the one before."""
    if call.seat.email_verified:
        raise Conflict("ALREADY_VERIFIED", "Your e-mail address is verified already")
    await mail.enqueue_account(call.tenant.conn, call.seat.account_id, "verification")


@router.post(
    "/request-password-reset",
    access=PUBLIC,
    message="If this e-mail address has an account, a mail is on its way to it.",
    limit=Limit("password-reset", 30, 600),
)
async def request_password_reset(call: PublicCall, body: ResetRequest) -> None:
    """Ask for a mail with a link to a new password; the answer and the work are the same for an unknown address."""
    await ask_for_reset(call, body.email)


@router.post(
    "/reset-password",
    access=PUBLIC,
    message="Password changed. Log in with the new one.",
    errors=("INVALID_TOKEN",),
)
async def reset_password(call: PublicCall, body: PasswordReset) -> None:
    """Set a new password with the token from the mail; it works once, for an hour. All sessions end."""
    await reset(call, body.token.get_secret_value(), body.new_password.get_secret_value())


async def verify(call: PublicCall, token: str) -> tuple[Account, datetime]:
    """Use up a verification token; returns whose it is, and since when the mailbox is proven. Raises INVALID_TOKEN."""
    async with call.resources.database.resolver() as conn:
        account_id = await tokens.consume(conn, token, "email_verification", call.now())
        verified_at = await accounts.mark_verified(conn, account_id, call.now())
        return await accounts.get(conn, account_id), verified_at


async def ask_for_reset(call: PublicCall, email: str) -> None:
    """Queue a reset mail, or as much work for nobody; raises TooMany alike for known and unknown addresses."""
    subject = sha256(email_key(email).encode()).hexdigest()
    await call.resources.limits.hit("password-reset-email", subject, RESETS_AN_HOUR, 3600)
    async with call.resources.database.resolver() as conn:
        await mail.enqueue_reset(conn, email)


async def reset(call: PublicCall, token: str, new_password: str) -> None:
    """Use up a reset token: the new password, the mailbox proven, and every session ended, in one transaction.

    Raises INVALID_TOKEN, or Invalid for a weak password, which leaves the token alive.
    """
    database, passwords = call.resources.database, call.resources.passwords
    async with database.resolver(read_only=True) as conn:
        account = await accounts.get(conn, await tokens.peek(conn, token, "password_reset", call.now()))
    await passwords.require_strength(new_password, (account.email, account.full_name), "new_password")
    new_hash = await passwords.hash(new_password)
    async with database.resolver() as conn:
        await tokens.consume(conn, token, "password_reset", call.now())
        await accounts.set_password(conn, account.id, new_hash)
        await accounts.mark_verified(conn, account.id, call.now())
        await sessions.revoke_all(conn, account.id)
        await mail.enqueue_account(conn, account.id, "password_changed")
    await forget_failures(call, account.email)
