"""One attempt to deliver one message, and what its outcome means."""

from datetime import timedelta

from db.messages import Claimed, Outcome
from db.types import OrganizationId
from jobs.providers.errors import ProviderUnavailable
from jobs.providers.mail import Email, MailRefused, message_id
from jobs.providers.mail_kinds import Message
from jobs.providers.render import render
from jobs.providers.sms import SmsProvider, SmsReceipt, SmsRefused
from jobs.resources import Resources
from jobs.returns import bounces_to

ATTEMPTS = 8
LONGEST_WAIT = timedelta(hours=1)
SUPPRESSING = ("invalid_number", "unsubscribed")
SUPPRESSED = "suppressed: "


async def deliver(
    resources: Resources, organization_id: OrganizationId, organization: str, message: Claimed
) -> Outcome:
    """Try to deliver a claimed message; every way it can end is an outcome, not an exception."""
    if message.is_test:
        return Outcome("delivered", provider="test")
    if message.type == "email":
        return await _email(resources, organization_id, organization, message)
    return await _sms(resources, organization_id, message)


async def find_out(
    resources: Resources, organization_id: OrganizationId, organization: str, message: Claimed
) -> Outcome:
    """What became of an attempt whose worker was killed: the SMS company is asked; SMTP cannot be, so the mail is sent
    again with the same Message-ID – the documented case in which a recipient may see a mail twice.
    """
    if message.is_test or message.type == "email":
        return await deliver(resources, organization_id, organization, message)
    if resources.sms is None:
        return Outcome("failed", error="no SMS provider is configured")
    return await _ask(resources, resources.sms, organization_id, message)


async def _email(resources: Resources, organization_id: OrganizationId, organization: str, message: Claimed) -> Outcome:
    sender = resources.settings.mail_from
    mail = render(
        Message(organization=organization, subject=message.subject or f"Message from {organization}", body=message.body)
    )
    email = Email(
        sender, message.recipient, mail.subject, mail.text, message_id(message.id, sender), html=mail.html,
        bounce_address=bounces_to(resources, "message", organization_id, message.id),
    )  # fmt: skip
    try:
        await resources.mail.send(email)
    except MailRefused as error:
        if not error.permanent:
            return _later(resources, message, f"{error.code} {error.reason}")
        prefix = SUPPRESSED if error.stage == "recipient" else ""
        return Outcome("failed", provider="smtp", error=f"{prefix}{error.code} {error.reason}")
    except ProviderUnavailable as error:
        return _later(resources, message, str(error))
    return Outcome("sent", provider="smtp")


async def _sms(resources: Resources, organization_id: OrganizationId, message: Claimed) -> Outcome:
    sms = resources.sms
    if sms is None:
        return Outcome("failed", error="no SMS provider is configured")
    callback = f"{resources.settings.base_url}/api/v1/webhooks/sms/{organization_id}/{message.id}"
    try:
        return _of(sms, await sms.send(message.id, message.recipient, message.body, callback))
    except SmsRefused as error:
        if error.fault == "temporary":
            return _later(resources, message, error.code)
        prefix = SUPPRESSED if error.fault in SUPPRESSING else ""
        return Outcome("failed", provider=sms.name, error=f"{prefix}{error.code}")
    except ProviderUnavailable as error:
        if error.uncertain:
            return await _ask(resources, sms, organization_id, message)
        return _later(resources, message, str(error))


async def _ask(resources: Resources, sms: SmsProvider, organization_id: OrganizationId, message: Claimed) -> Outcome:
    """A time-out is asked about, never resent blindly; what nobody can tell stays unknown."""
    try:
        receipt = await sms.find(message.id, message.recipient, message.body, message.claimed_at)
    except (ProviderUnavailable, SmsRefused):
        return Outcome("unknown", provider=sms.name, error="the provider could not say whether it has the message")
    return _of(sms, receipt) if receipt else _later(resources, message, "not taken by the provider")


def _of(sms: SmsProvider, receipt: SmsReceipt) -> Outcome:
    status = "sent" if receipt.status == "queued" else receipt.status
    return Outcome(status, sms.name, receipt.provider_id, receipt.segments, receipt.error_code)


def _later(resources: Resources, message: Claimed, reason: str) -> Outcome:
    if message.attempts >= ATTEMPTS:
        return Outcome("failed", error=f"given up after {message.attempts} attempts: {reason}")
    wait = min(LONGEST_WAIT, timedelta(seconds=5 * 3**message.attempts))
    return Outcome("queued", error=reason, next_attempt_at=resources.clock.now() + wait)
