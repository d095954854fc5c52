"""The metered API: send a message, see what became of it."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl
from uuid import UUID

from pydantic import Field, StringConstraints

from api import cursors
from api.fields import Amount, Answer, Body, CursorPagination, CursorQuery, Timestamp
from api.http import SIGNED, KeyCall, Router, Scope, SignedCall
from api.recipients import email_address, phone_number
from db import messages, suppressions
from db.errors import Invalid, NotFound
from db.types import Actor, MessageId, OrganizationId
from jobs.delivery import SUPPRESSING
from jobs.providers.errors import SignatureError
from jobs.segments import segments

router = Router("/messages", tag="Messages")
callbacks = Router("/webhooks/sms", tag="Webhooks")

PREFIX = "msg_"
LONGEST_SMS = 1600
Status = Literal["queued", "sent", "delivered", "failed"]
Text = Annotated[str, StringConstraints(min_length=1, max_length=100_000)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\r\n\x00]*$")]


class NewMessage(Body):
    """A message to send."""

    to: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=320)] = Field(
        description="A phone number in E.164 (`+14155550123`) for sms, an address for email"
    )
    message: Text = Field(description="The text; at most 1,600 characters for sms")
    type: Literal["sms", "email"]
    subject: Line | None = Field(None, description="Of an e-mail")
    metadata: dict[str, Any] = Field(
        {}, max_length=20, description="Up to 20 values of yours, given back with the message"
    )


class QueuedMessage(Answer):
    """A message that was taken over."""

    message_id: str
    to: str
    type: str
    status: Status
    cost: Amount = Field(description="What a request costs on the plan beyond the included ones")
    segments: int = Field(description="SMS parts; 1 for e-mail")
    usage_recorded: bool
    organization_id: UUID
    created_at: Timestamp


class SentMessage(Answer):
    """A message and what became of it."""

    message_id: str
    to: str
    type: str
    subject: str | None
    status: Status
    segments: int
    metadata: dict[str, Any]
    created_at: Timestamp
    sent_at: Timestamp | None
    delivered_at: Timestamp | None
    failed_at: Timestamp | None
    error: str | None


class MessageQuery(CursorQuery):
    """Which messages."""

    status: Status | None = None
    type: Literal["sms", "email"] | None = None


class MessagePage(Answer):
    """One page of messages, newest first."""

    messages: list[SentMessage]
    pagination: CursorPagination


@router.post("/send", access=Scope.MESSAGES_SEND, message="Message queued", idempotent=True, at_once=True)
async def send(call: KeyCall, body: NewMessage) -> QueuedMessage:
    """Send an SMS or an e-mail: taken over with this answer, delivered by a worker."""
    recipient, parts = _checked(call, body)
    now = call.now()
    draft = messages.Draft(
        call.key.api_key_id, body.type, recipient, body.message, body.subject, body.metadata, parts, call.key.is_test
    )
    if call.in_transaction:
        message_id = await messages.create(call.tenant, draft, now)
        call.after_commit(_ring(call))
    else:
        message_id = await messages.send(call.resources.database, _caller(call), draft, now)
        call.resources.waker.wake()
    return QueuedMessage(
        message_id=_public(message_id), to=recipient, type=body.type, status="queued", segments=parts,
        cost=_cost(call.key.unit_price), usage_recorded=True, organization_id=call.organization_id, created_at=now,
    )  # fmt: skip


@router.get("/{message_id}", access=Scope.MESSAGES_READ, at_once=True)
async def show(call: KeyCall, message_id: str) -> SentMessage:
    """A message and what became of it."""
    found = await messages.show(call.resources.database, call.organization_id, _private(message_id))
    if found is None:
        raise NotFound("Message")
    return _sent(found)


@router.get("", access=Scope.MESSAGES_READ, replica=True)
async def listing(call: KeyCall, query: MessageQuery) -> MessagePage:
    """The organization's messages, newest first."""
    before = cursors.decode(query.cursor)[1] if query.cursor else messages.LAST
    found = await messages.page(
        call.tenant, before=before, limit=query.limit + 1, status=query.status, kind=query.type
    )  # fmt: skip
    page, has_more = found[: query.limit], len(found) > query.limit
    cursor = cursors.encode(page[-1].created_at, page[-1].id) if has_more else None
    pagination = CursorPagination(limit=query.limit, next_cursor=cursor, has_more=has_more)
    return MessagePage(messages=[_sent(message) for message in page], pagination=pagination)


@callbacks.post("/{organization_id}/{message_id}", access=SIGNED, transaction=False)
async def callback(call: SignedCall, organization_id: UUID, message_id: UUID) -> None:
    """The SMS company's word on a message, signed by it; its address names the message."""
    sms = call.resources.sms
    if sms is None:
        raise NotFound("Webhook")
    url = f"{call.settings.base_url}{call.request.url.path}"
    try:
        form = parse_qsl(call.raw.decode(), keep_blank_values=True)
        receipt = sms.parse_callback(url, form, dict(call.request.headers))
    except (SignatureError, UnicodeDecodeError) as error:
        raise Invalid("INVALID_REQUEST", "The signature does not fit") from error
    if receipt.status == "queued":
        return
    actor = Actor("system")
    async with call.resources.database.tenant(OrganizationId(organization_id), actor) as tenant:
        moved = await messages.advance(
            tenant, MessageId(message_id), receipt.status, sms.name, receipt.provider_id, receipt.error_code, call.now()
        )
        recipient = await messages.recipient(tenant, MessageId(message_id)) if moved else None
        if recipient and receipt.fault in SUPPRESSING:
            await suppressions.add(tenant, "sms", recipient, "bounce", receipt.error_code or "", call.now())


def _checked(call: KeyCall, body: NewMessage) -> tuple[str, int]:
    """The recipient in its canonical form and the number of SMS parts; raises Invalid for what cannot be sent."""
    if body.type == "email":
        return email_address(body.to, "to"), 1
    if call.resources.sms is None and not call.key.is_test:
        raise Invalid.field("type", "SMS is not offered by this installation")
    if len(body.message) > LONGEST_SMS:
        raise Invalid.field("message", f"Must be at most {LONGEST_SMS} characters for sms")
    return phone_number(body.to, "to"), segments(body.message)


def _caller(call: KeyCall) -> messages.Caller:
    return messages.Caller(call.organization_id, call.key.api_key_id, call.request_id, call.address)


def _ring(call: KeyCall) -> Any:
    async def ring() -> None:
        call.resources.waker.wake()

    return ring


def _cost(unit_price: Decimal) -> Decimal:
    return unit_price.quantize(Decimal("0.01"), ROUND_HALF_UP)


def _public(message_id: UUID) -> str:
    return PREFIX + message_id.hex


def _private(message_id: str) -> MessageId:
    """The id behind a public one; anything else is a message that does not exist."""
    try:
        return MessageId(UUID(hex=message_id.removeprefix(PREFIX)))
    except ValueError:
        raise NotFound("Message") from None


def _sent(message: messages.Message) -> SentMessage:
    return SentMessage.of(message, message_id=_public(message.id), to=message.recipient)
