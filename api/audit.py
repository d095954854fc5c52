"""The audit trail over HTTP: what was changed in the organization, by whom and from where."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from api import cursors
from api.fields import Answer, CursorPagination, CursorQuery, Timestamp
from api.http import Permission, Router, UserCall
from db import audit

router = Router("/audit", tag="Audit trail")


class AuditQuery(CursorQuery):
    """Which events."""

    table: Annotated[str, StringConstraints(pattern=r"^[a-z]+\.[a-z_]{1,60}$")] | None = Field(
        None, description="Only rows of one table, such as `tenancy.api_keys`"
    )
    row: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")] | None = Field(
        None, description="Only the row with this key; together with `table`"
    )


class AuditActor(Answer):
    """Who made the change."""

    kind: str = Field(description="user, api_key, job, system, or operator for work outside the application")
    id: UUID | None = Field(description="The seat, key or job")


class AuditEvent(Answer):
    """One changed row."""

    position: int = Field(description="Place in the organization's chain of events, from 1 and without gaps")
    occurred_at: Timestamp
    actor: AuditActor
    operation: Literal["insert", "update", "delete"]
    table: str
    row: str = Field(description="Key of the row")
    before: dict[str, Any] | None = Field(description="The deleted row, or the old values of the changed columns")
    after: dict[str, Any] | None = Field(description="The new row, or the new values of the changed columns")
    request_id: str | None
    address: str | None = Field(description="Address of the client")


class AuditPage(Answer):
    """One page of the trail."""

    events: list[AuditEvent]
    pagination: CursorPagination


@router.get("/events", access=Permission.VIEW_AUDIT, replica=True)
async def events(call: UserCall, query: AuditQuery) -> AuditPage:
    """The organization's audit trail, newest first."""
    before = cursors.decode(query.cursor)[1].int if query.cursor else audit.LAST
    if before > audit.LAST:
        raise cursors.invalid_cursor()
    found = await audit.page(
        call.tenant, limit=query.limit + 1, before=before, table_name=query.table, row_key=query.row
    )  # fmt: skip
    page, has_more = found[: query.limit], len(found) > query.limit
    cursor = cursors.encode(page[-1].occurred_at, UUID(int=page[-1].position)) if has_more else None
    pagination = CursorPagination(limit=query.limit, next_cursor=cursor, has_more=has_more)
    return AuditPage(events=[_event(event) for event in page], pagination=pagination)


def _event(event: audit.Event) -> AuditEvent:
    return AuditEvent.of(
        event,
        actor=AuditActor(kind=event.actor_kind, id=event.actor_id),
        table=event.table_name,
        row=event.row_key,
        address=event.client_address,
    )
