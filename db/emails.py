"""The outbox of the product's own mail: a row says that a mail is wanted and what became of it, never what it says."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from db.accounts import email_key
from db.pool import Tenant
from db.statements import load
from db.types import AccountId, EmailId, new_id

queries = load("emails")

AccountKind = Literal["verification", "password_reset", "password_changed", "account_exists"]
Outcome = Literal["queued", "sent", "failed", "dropped"]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A mail to somebody of an organization, in a worker's hands."""

    id: EmailId
    kind: str
    subject_id: UUID
    recipient: str
    step: int
    attempts: int


@dataclass(frozen=True, slots=True)
class ClaimedForAccount:
    """A mail to a person, in a worker's hands; `account_id` is None when the address asked about is nobody's."""

    account_id: AccountId | None
    kind: AccountKind
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KeyNotice:
    """What the notice of a new API key says."""

    name: str
    mode: str
    first4: str
    last4: str
    created_at: datetime
    created_by: str


async def add(tenant: Tenant, *, kind: str, subject_id: UUID, recipient: str, step: int) -> EmailId | None:
    """Ask for a mail; None when this kind, subject, recipient and step had been asked for before."""
    email_id: EmailId | None = await queries.add(
        tenant.conn, organization_id=tenant.organization_id, id=new_id(), kind=kind, subject_id=subject_id,
        recipient=recipient, step=step,
    )  # fmt: skip
    return email_id


async def claim(tenant: Tenant, email_id: EmailId, now: datetime) -> Claimed | None:
    """Take a mail; None when it was sent or given up. One that a killed worker had taken is taken over."""
    row = await queries.claim(tenant.conn, organization_id=tenant.organization_id, id=email_id, now=now)
    return Claimed(**row) if row else None


async def settle(tenant: Tenant, email_id: EmailId, outcome: Outcome, now: datetime, error: str | None = None) -> None:
    """Write what became of a claimed mail; `queued` is one to be tried again."""
    await queries.settle(
        tenant.conn, organization_id=tenant.organization_id, id=email_id, status=outcome, now=now, error=error
    )


async def count_waiting(tenant: Tenant) -> int:
    """How many mails of the organization wait to be sent; 500 stands for more."""
    waiting: int = await queries.count_waiting(tenant.conn, organization_id=tenant.organization_id)
    return waiting


async def bounce(tenant: Tenant, email_id: EmailId, error: str) -> None:
    """Write that a mail came back after it was sent."""
    await queries.bounce(tenant.conn, organization_id=tenant.organization_id, id=email_id, error=error)


async def recipient(tenant: Tenant, email_id: EmailId) -> str | None:
    """Whom a mail was for, or None without it."""
    found: str | None = await queries.recipient(tenant.conn, organization_id=tenant.organization_id, id=email_id)
    return found


async def queue_for_account(
    conn: Any, account_id: AccountId, kind: AccountKind, unless_since: datetime | None = None
) -> UUID | None:
    """Ask for a mail to a person; None when one of its kind was asked for after `unless_since`."""
    mail_id = new_id()
    queued = await queries.queue_account_mail(
        conn, id=mail_id, account_id=account_id, kind=kind, unless_since=unless_since
    )
    return mail_id if queued else None


async def queue_reset(conn: Any, email: str) -> UUID:
    """Ask for a password reset; the same work, and a row that leads to nobody, for an unknown address."""
    mail_id = new_id()
    await queries.queue_reset_mail(conn, id=mail_id, email_key=email_key(email))
    return mail_id


async def claim_for_account(conn: Any, mail_id: UUID, now: datetime) -> ClaimedForAccount | None:
    """Take a mail to a person; None when it was sent or given up."""
    row = await queries.claim_account_mail(conn, id=mail_id, now=now)
    return ClaimedForAccount(**row) if row else None


async def settle_for_account(conn: Any, mail_id: UUID, sent_at: datetime | None, error: str | None = None) -> None:
    """Write what became of a mail to a person: sent, or given up for a reason."""
    await queries.settle_account_mail(conn, id=mail_id, sent_at=sent_at, error=error)


async def key_notice(tenant: Tenant, api_key_id: UUID) -> KeyNotice | None:
    """What the notice of a new API key says, or None without the key."""
    row = await queries.get_key(tenant.conn, organization_id=tenant.organization_id, id=api_key_id)
    return KeyNotice(**row) if row else None
