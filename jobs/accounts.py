"""Mail about a person's account, its tokens made when it is sent, and the forgetting of what has ended."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from db import accounts, organizations, sessions, team, tokens
from db.accounts import Account
from db.errors import NotFound
from db.pool import Tenant
from db.types import SessionId, UserId
from jobs import email
from jobs.app import periodic
from jobs.providers.mail_kinds import AccountExists, PasswordReset, SecurityNotice, Verification, Welcome
from jobs.providers.mail_words import device
from jobs.resources import Resources

KEPT_DAYS = 30


def link(resources: Resources, path: str, token: str | None = None) -> str:
    """An address of ours, made from settings alone; a token travels in the query of a page that only POST consumes."""
    base = resources.settings.base_url.rstrip("/")
    return f"{base}{path}?token={token}" if token else f"{base}{path}"


@email.composer("welcome")
async def welcome(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> Welcome | None:
    """To the founder of an organization."""
    try:
        founder = await team.member(tenant, UserId(subject_id))
    except NotFound:
        return None
    organization = await organizations.get(tenant)
    return Welcome(founder.full_name, organization.name, link(resources, "/dashboard"))


@email.account_composer("verification")
async def verification(resources: Resources, conn: Any, account: Account, asked_at: datetime) -> Verification:
    """The link that proves a mailbox."""
    token = await tokens.issue(conn, account.id, "email_verification", resources.clock.now())
    hours = tokens.LIFETIMES["email_verification"] // timedelta(hours=1)
    return Verification(account.full_name, link(resources, "/verify-email", token), hours)


@email.account_composer("password_reset")
async def password_reset(resources: Resources, conn: Any, account: Account, asked_at: datetime) -> PasswordReset:
    """The link to a new password."""
    token = await tokens.issue(conn, account.id, "password_reset", resources.clock.now())
    hours = tokens.LIFETIMES["password_reset"] // timedelta(hours=1)
    return PasswordReset(account.full_name, link(resources, "/reset-password", token), hours)


@email.account_composer("password_changed")
async def password_changed(resources: Resources, conn: Any, account: Account, asked_at: datetime) -> SecurityNotice:
    """Tells a person that the password was changed, and what to do if it was somebody else."""
    return SecurityNotice(
        "password_changed", account.full_name, None, asked_at, None, None, link(resources, "/forgot-password")
    )


@email.composer("new_session")
async def new_session(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> SecurityNotice | None:
    """Tells a person of a log-in from a device or network that was never seen before."""
    found = await sessions.log_in_of(tenant, SessionId(subject_id))
    if found is None:
        return None
    return SecurityNotice(
        "new_session",
        None,
        None,
        found.created_at,
        found.address,
        device(found.user_agent),
        link(resources, "/account"),
    )


@email.account_composer("account_exists")
async def account_exists(resources: Resources, conn: Any, account: Account, asked_at: datetime) -> AccountExists:
    """Tells a person who registered again that there is an account already."""
    return AccountExists(account.full_name, link(resources, "/login"), link(resources, "/forgot-password"))


@periodic(cron="17 3 * * *", queue="maintenance")
async def forget(resources: Resources, timestamp: int) -> None:
    """Each night forget tokens, sessions, asked-for mails and attempts that ended thirty days ago."""
    async with resources.database.resolver() as conn:
        await accounts.prune(conn, resources.clock.now() - timedelta(days=KEPT_DAYS))
