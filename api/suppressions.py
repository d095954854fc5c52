"""The list of recipients who are not written to: what bounces, complaints and members put there, and taking it off."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from api import cursors
from api.fields import Answer, Body, CursorPagination, CursorQuery, Timestamp
from api.http import Permission, Router, UserCall
from api.recipients import email_address, phone_number
from db import suppressions
from db.errors import Conflict
from db.suppressions import Suppression

router = Router("/suppressions", tag="Suppressions")

Channel = Literal["sms", "email"]
Recipient = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=320)]
Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\r\n\x00]*$")
]


class NewSuppression(Body):
    """A recipient who is not to be written to any more."""

    channel: Channel
    recipient: Recipient = Field(
        description="A phone number in E.164 (`+14155550123`) for sms, an address in any case for email"
    )
    reason: Reason = Field("Added by a member", description="Your own words, for whoever reads the list")


class SuppressedRecipient(Answer):
    """One entry of the list."""

    id: UUID
    channel: Channel
    recipient: str
    source: Literal["refusal", "bounce", "complaint", "manual"] = Field(
        description="The receiving server refused at once or sent the mail back later, the recipient complained, or a "
        "member added it"
    )
    reason: str
    created_at: Timestamp


class SuppressionQuery(CursorQuery):
    """Which entries."""

    channel: Channel | None = None
    recipient: Recipient | None = Field(None, description="Only the entry of this recipient")


class SuppressionPage(Answer):
    """One page of the list, newest first."""

    suppressions: list[SuppressedRecipient]
    pagination: CursorPagination


@router.get("", access=Permission.MANAGE_SUPPRESSIONS)
async def listing(call: UserCall, query: SuppressionQuery) -> SuppressionPage:
    """Who is not written to, newest first."""
    before = cursors.decode(query.cursor)[1] if query.cursor else suppressions.LAST
    found = await suppressions.page(
        call.tenant, limit=query.limit + 1, before=before, channel=query.channel, recipient=query.recipient
    )
    page, has_more = found[: query.limit], len(found) > query.limit
    cursor = cursors.encode(page[-1].created_at, page[-1].id) if has_more else None
    pagination = CursorPagination(limit=query.limit, next_cursor=cursor, has_more=has_more)
    return SuppressionPage(suppressions=[_shown(entry) for entry in page], pagination=pagination)


@router.post(
    "", access=Permission.MANAGE_SUPPRESSIONS, status=201, message="Recipient suppressed", idempotent=True,
    errors=("CONFLICT",),
)  # fmt: skip
async def add(call: UserCall, body: NewSuppression) -> SuppressedRecipient:
    """Stop writing to a recipient; messages that are queued for it fail."""
    read = email_address if body.channel == "email" else phone_number
    recipient = read(body.recipient, "recipient")
    entry, is_new = await suppressions.add(call.tenant, body.channel, recipient, "manual", body.reason, call.now())
    if not is_new:
        raise Conflict("CONFLICT", "This recipient is on the list already", {"id": str(entry.id)})
    return _shown(entry)


@router.delete("/{suppression_id}", access=Permission.MANAGE_SUPPRESSIONS, message="Recipient may be written to again")
async def remove(call: UserCall, suppression_id: UUID) -> None:
    """Take an entry off the list. A server that refuses the recipient again puts it back."""
    await suppressions.remove(call.tenant, suppression_id)


def _shown(entry: Suppression) -> SuppressedRecipient:
    return SuppressedRecipient.of(entry)
