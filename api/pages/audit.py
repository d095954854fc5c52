"""The audit trail for people: who changed what, when and from where."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from starlette.responses import Response

from api import audit as endpoints
from api.audit import AuditEvent, AuditQuery
from api.http import UserCall
from api.pages.render import page
from api.pages.router import Pages, Rule
from db import team

pages = Pages("Audit trail")

NOUNS = {
    "tenancy.organizations": "Organization", "tenancy.users": "Seat", "tenancy.team_invitations": "Invitation",
    "identity.sessions": "Session",
    "tenancy.api_keys": "API key", "billing.billing_cycles": "Invoice", "billing.billing_cycle_lines": "Invoice line",
    "billing.payments": "Payment", "billing.movements": "Ledger entry", "billing.plan_segments": "Plan",
    "billing.invoice_counters": "Invoice counter",
}  # fmt: skip
VERBS = {"insert": "created", "update": "changed", "delete": "deleted"}
ACTORS = {"api_key": "An API key", "job": "A job", "system": "The system", "operator": "An operator"}
_NAMING = ("name", "email", "plan", "description", "kind", "status", "role")
_OF_NO_INTEREST = {"organization_id", "id", "created_at", "updated_at"}


@dataclass(frozen=True, slots=True)
class Change:
    """One column of a changed row."""

    column: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Told:
    """An event in words."""

    event: AuditEvent
    subject: str
    name: str
    verb: str
    actor: str
    changes: list[Change]


@pages.show("/audit", Rule.of(endpoints.router, endpoints.events))
async def trail(call: UserCall, query: AuditQuery) -> Response:
    """The newest events, or those before a place in the trail."""
    found = await endpoints.events(call, query)
    people = {member.id: member.email for member in await team.members(call.tenant)}
    told = [_told(event, people) for event in found.events]
    return await page(
        call, "audit.html", events=told, next_cursor=found.pagination.next_cursor, is_first=query.cursor is None
    )  # fmt: skip


def _told(event: AuditEvent, people: dict[Any, str]) -> Told:
    row = (event.before or {}) | (event.after or {})
    return Told(
        event,
        NOUNS.get(event.table, event.table),
        next((str(row[column]) for column in _NAMING if row.get(column)), ""),
        VERBS[event.operation],
        _actor(event.actor.kind, event.actor.id, people),
        _changes(event),
    )


def _actor(kind: str, actor_id: UUID | None, people: dict[Any, str]) -> str:
    if kind == "user":
        return people.get(actor_id, "Somebody who has left")
    return ACTORS.get(kind, kind)


def _changes(event: AuditEvent) -> list[Change]:
    before, after = event.before or {}, event.after or {}
    columns = [name for name in (before | after) if name not in _OF_NO_INTEREST]
    return [Change(name, before.get(name), after.get(name)) for name in columns]
