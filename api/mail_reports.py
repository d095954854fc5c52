"""Where a mail server hands over what comes back: bounces and complaints about the mail that we have sent."""

import structlog

from api.http import SIGNED, Router, SignedCall
from db import emails, messages, suppressions
from db.errors import Invalid, NotFound
from db.pool import Tenant
from db.types import Actor, EmailId, MessageId
from jobs.providers.errors import SignatureError
from jobs.providers.mail_reports import MailReport, read, verify

router = Router("/webhooks/mail", tag="Webhooks")
log = structlog.get_logger()


@router.post("", access=SIGNED, transaction=False, errors=("NOT_FOUND",))
async def take(call: SignedCall) -> None:
    """A report as it came by mail (message/rfc822), with `X-Signature: t=<Unix seconds>,v1=<HMAC-SHA256 of "t.body">`.

    A bounce marks the mail as failed, and takes a recipient who is gone, or who complained, onto the list of those who
    are not written to. Reports may repeat; what says nothing about a mail of ours is taken and forgotten.
    """
    secret = call.settings.mail_webhook_secret
    if secret is None:
        raise NotFound("Webhook")
    try:
        verify(secret, call.raw, call.request.headers.get("x-signature"), call.now())
    except SignatureError as error:
        raise Invalid("INVALID_REQUEST", "The signature does not fit") from error
    report = read(call.settings.jwt_secret, call.raw)
    if report is None:
        return
    async with call.resources.database.tenant(report.organization_id, Actor("system")) as tenant:
        await _apply(call, tenant, report)
    log.info("mail.reported", kind=report.kind, status=report.status, subject=report.subject, id=str(report.id))


async def _apply(call: SignedCall, tenant: Tenant, report: MailReport) -> None:
    recipient = await _recipient(tenant, report)
    if recipient is None:
        return
    if report.kind == "bounce":
        await _fail(tenant, report, call)
    if report.is_gone:
        await suppressions.add(tenant, "email", recipient, report.kind, report.status, call.now())


async def _recipient(tenant: Tenant, report: MailReport) -> str | None:
    if report.subject == "message":
        return await messages.recipient(tenant, MessageId(report.id))
    return await emails.recipient(tenant, EmailId(report.id))


async def _fail(tenant: Tenant, report: MailReport, call: SignedCall) -> None:
    error = f"came back: {report.status}"
    if report.subject == "message":
        await messages.bounce(tenant, MessageId(report.id), error, call.now())
    else:
        await emails.bounce(tenant, EmailId(report.id), error)
