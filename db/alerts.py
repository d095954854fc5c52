"""Alerts of a month's usage: once for an organization, a month and a threshold, and who wants to read them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal
from uuid import UUID

from db.pool import Tenant
from db.statements import load
from db.types import Plan, UserId, new_id

queries = load("alerts")

Percent = Literal[80, 100]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a month's included requests are used; `included` is None without a limit, the price where it is hard."""

    organization: str
    plan: Plan
    included: int | None
    overage_minor: int | None
    overage_per: int | None
    used: int


@dataclass(frozen=True, slots=True)
class Alert:
    """A threshold that was reached, with the figures of that moment."""

    id: UUID
    organization: str
    month: date
    percent: Percent
    plan: Plan
    used: int
    included: int
    overage_minor: int | None
    overage_per: int | None


@dataclass(frozen=True, slots=True)
class Reader:
    """An owner or admin who wants to know."""

    user_id: UserId
    email: str


async def standing(tenant: Tenant, now: datetime) -> Standing:
    """How far this month's included requests are used, counted from the records."""
    today = now.astimezone(UTC).date()
    row = await queries.standing(
        tenant.conn, organization_id=tenant.organization_id, month=today.replace(day=1), today=today
    )
    return Standing(**row)


async def add(tenant: Tenant, percent: Percent, found: Standing, now: datetime) -> UUID | None:
    """Note that a threshold was reached; None when this month's was noted already."""
    alert_id: UUID | None = await queries.add(
        tenant.conn, organization_id=tenant.organization_id, id=new_id(),
        month=now.astimezone(UTC).date().replace(day=1), percent=percent, plan=found.plan, used=found.used,
        included=found.included, overage_minor=found.overage_minor, overage_per=found.overage_per, now=now,
    )  # fmt: skip
    return alert_id


async def get(tenant: Tenant, alert_id: UUID) -> Alert | None:
    """One alert, or None."""
    row = await queries.get(tenant.conn, organization_id=tenant.organization_id, id=alert_id)
    return Alert(**row) if row else None


async def readers(tenant: Tenant) -> list[Reader]:
    """The owners and admins who have not unsubscribed, the oldest first."""
    return [Reader(**row) async for row in queries.readers(tenant.conn, organization_id=tenant.organization_id)]


async def unsubscribe(tenant: Tenant, user_id: UserId, now: datetime) -> None:
    """A member wants no more alerts; saying so again changes nothing."""
    await queries.unsubscribe(
        tenant.conn, organization_id=tenant.organization_id, user_id=user_id, kind="usage_alert", now=now
    )
