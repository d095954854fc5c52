"""The product's own mail: asked for within a transaction, written when it is sent, once for each cause.

A mail is claimed, sent and marked in three short transactions. What the server refuses for good is given up and its
recipient suppressed; what it cannot take now comes again with back-off and the same Message-ID. A connection lost after
the content was sent and before the answer came is the one rare case in which a recipient may see a mail twice.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from db import accounts, emails, suppressions
from db.accounts import Account
from db.emails import AccountKind
from db.pool import Tenant
from db.types import AccountId, Actor, EmailId, OrganizationId
from jobs.app import Backoff, GiveUp, global_job, job
from jobs.marking import insist
from jobs.metrics import MAILS
from jobs.providers.errors import ProviderError, ProviderUnavailable
from jobs.providers.mail import Email, MailRefused, message_id
from jobs.providers.mail_kinds import Mail, UsageAlert
from jobs.providers.render import render
from jobs.resources import Resources
from jobs.returns import bounces_to

Composer = Callable[[Resources, Tenant, UUID, str], Awaitable[Mail | None]]
AccountComposer = Callable[[Resources, Any, Account, datetime], Awaitable[Mail]]

WORKER = Actor("job")
PATIENCE = Backoff(attempts=300)  # at most ten minutes apart: about two days, as mail servers have it
MAILS_A_TURN = 10
log = structlog.get_logger()

_COMPOSERS: dict[str, Composer] = {}
_ACCOUNT_COMPOSERS: dict[AccountKind, AccountComposer] = {}


def composer(kind: str) -> Callable[[Composer], Composer]:
    """Declare who writes a kind of mail: called with the subject's id and the recipient when the mail is sent.

    It runs in the organization's transaction that claims the mail, and returns None when the mail is no longer wanted.
    """

    def register(compose: Composer) -> Composer:
        return _COMPOSERS.setdefault(kind, compose)

    return register


def account_composer(kind: AccountKind) -> Callable[[AccountComposer], AccountComposer]:
    """Declare who writes a kind of mail to a person: called with the account and when the mail was asked for."""

    def register(compose: AccountComposer) -> AccountComposer:
        return _ACCOUNT_COMPOSERS.setdefault(kind, compose)

    return register


async def enqueue(tenant: Tenant, kind: str, *, subject_id: UUID, recipient: str, step: int = 0) -> EmailId | None:
    """Ask for a mail within the caller's transaction; None when this cause has asked for it before.

    The cause is (kind, subject, recipient, step): a reminder or a repeated invitation is a further step.
    """
    email_id = await emails.add(tenant, kind=kind, subject_id=subject_id, recipient=recipient, step=step)
    if email_id is not None:
        waiting = await emails.count_waiting(tenant)
        await send.configure(priority=_turn(waiting)).defer(tenant, email_id=email_id)
    return email_id


def _turn(waiting: int) -> int:
    """Behind mail to a person who waits at the screen; and the more an organization has waiting, the further back."""
    return -1 - waiting // MAILS_A_TURN


async def enqueue_account(
    conn: Any, account_id: AccountId, kind: AccountKind, *, unless_since: datetime | None = None
) -> bool:
    """Ask for a mail to a person within the caller's transaction; False when one was asked for after `unless_since`."""
    mail_id = await emails.queue_for_account(conn, account_id, kind, unless_since)
    if mail_id is None:
        return False
    await account_mail.defer(conn, mail_id=mail_id)
    return True


async def enqueue_reset(conn: Any, email: str) -> None:
    """Ask for a password reset; the same statements and the same job whether or not somebody has the address."""
    mail_id = await emails.queue_reset(conn, email)
    await account_mail.defer(conn, mail_id=mail_id)


@job(queue="mail", retry=PATIENCE)
async def send(resources: Resources, organization_id: OrganizationId, email_id: EmailId) -> None:
    """Send one mail of an organization."""
    claimed, mail = await _claim(resources, organization_id, email_id)
    if claimed is None or mail is None:
        return
    returns = bounces_to(resources, "email", organization_id, claimed.id)
    outcome, error = await _attempt(resources, claimed.id, claimed.recipient, mail, returns)
    await insist(partial(_settle, resources, organization_id, claimed, outcome, error))
    log.info("email.attempted", kind=claimed.kind, email_id=str(claimed.id), outcome=outcome)
    if outcome == "queued" and error is not None:
        raise error


async def _settle(
    resources: Resources,
    organization_id: OrganizationId,
    claimed: emails.Claimed,
    outcome: emails.Outcome,
    error: ProviderError | None,
) -> None:
    now = resources.clock.now()
    async with resources.database.tenant(organization_id, WORKER) as tenant:
        await emails.settle(tenant, claimed.id, outcome, now, str(error) if error else None)
        if outcome == "failed" and isinstance(error, MailRefused) and error.stage == "recipient":
            await suppressions.add(tenant, "email", claimed.recipient, "refusal", str(error), now)


@global_job(queue="mail", retry=PATIENCE)
async def account_mail(resources: Resources, mail_id: UUID) -> None:
    """Send one mail to a person; a new attempt bears a new token, so only the mail that came last opens anything."""
    found = await _claim_for_account(resources, mail_id)
    if found is None:
        return
    outcome, error = await _attempt(resources, mail_id, *found)
    log.info("email.attempted", mail_id=str(mail_id), outcome=outcome)
    if outcome == "queued" and error is not None:
        raise error
    await insist(partial(_settle_for_account, resources, mail_id, outcome, error))


async def _settle_for_account(
    resources: Resources, mail_id: UUID, outcome: emails.Outcome, error: ProviderError | None
) -> None:
    async with resources.database.resolver() as conn:
        sent_at = resources.clock.now() if outcome == "sent" else None
        await emails.settle_for_account(conn, mail_id, sent_at, str(error) if error else None)


async def _claim(
    resources: Resources, organization_id: OrganizationId, email_id: EmailId
) -> tuple[emails.Claimed | None, Mail | None]:
    """Take the mail and write it, or drop it when nobody wants it any more."""
    now = resources.clock.now()
    async with resources.database.tenant(organization_id, WORKER) as tenant:
        claimed = await emails.claim(tenant, email_id, now)
        if claimed is None:
            return None, None
        if await suppressions.holds(tenant, "email", claimed.recipient, suppressions.FROM_OUTSIDE):
            await emails.settle(tenant, email_id, "dropped", now, "recipient is suppressed")
            return claimed, None
        mail = await _composer_of(claimed.kind)(resources, tenant, claimed.subject_id, claimed.recipient)
        if mail is None:
            await emails.settle(tenant, email_id, "dropped", now, "no longer wanted")
        return claimed, mail


async def _claim_for_account(resources: Resources, mail_id: UUID) -> tuple[str, Mail] | None:
    now = resources.clock.now()
    async with resources.database.resolver() as conn:
        claimed = await emails.claim_for_account(conn, mail_id, now)
        if claimed is None:
            return None
        if claimed.account_id is None:
            await emails.settle_for_account(conn, mail_id, None, "nobody has this address")
            return None
        account = await accounts.get(conn, claimed.account_id)
        return account.email, await _ACCOUNT_COMPOSERS[claimed.kind](resources, conn, account, claimed.created_at)


async def _attempt(
    resources: Resources, outbox_id: UUID, recipient: str, mail: Mail, bounce_address: str | None = None
) -> tuple[emails.Outcome, ProviderError | None]:
    """Hand a mail to the server: sent, refused for good (failed), or to be tried again (queued)."""
    sender, words = resources.settings.mail_from, render(mail)
    letter = Email(
        sender, recipient, words.subject, words.text, message_id(outbox_id, sender), html=words.html,
        bounce_address=bounce_address,
        unsubscribe_url=mail.unsubscribe_url if isinstance(mail, UsageAlert) else None,
    )  # fmt: skip
    outcome, error = await _hand_over(resources, letter)
    MAILS.labels(outcome).inc()
    return outcome, error


async def _hand_over(resources: Resources, letter: Email) -> tuple[emails.Outcome, ProviderError | None]:
    try:
        await resources.mail.send(letter)
    except MailRefused as refusal:
        return ("failed" if refusal.permanent else "queued"), refusal
    except ProviderUnavailable as away:
        return "queued", away
    return "sent", None


def _composer_of(kind: str) -> Composer:
    if kind not in _COMPOSERS:
        raise GiveUp(f"nobody writes mail of kind {kind}")
    return _COMPOSERS[kind]
