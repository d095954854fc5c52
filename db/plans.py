"""Changes of plan: up at once, down with the next month; the database appends the segments that billing reads."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from db import previews, work
from db.errors import Conflict, NotFound
from db.invoices import Line
from db.pool import Tenant
from db.previews import Preview
from db.statements import load
from db.types import OrganizationId, Plan

queries = load("plans")


@dataclass(frozen=True, slots=True)
class PlannedOrganization:
    """An organization with its plan now, and the one that waits for the next month."""

    id: OrganizationId
    name: str
    plan: Plan
    pending_plan: Plan | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Offer:
    """A plan with its price for a whole month in minor units; `included` None is unlimited."""

    plan: Plan
    currency: str
    base_minor: int
    included: int | None
    overage_minor: int
    overage_per: int
    is_hard_quota: bool
    per_minute: int
    max_api_keys: int


@dataclass(frozen=True, slots=True)
class Move:
    """What a change of plan writes: the plan in force, the one that waits, and whether it waits for the next month."""

    plan: Plan
    pending: Plan | None
    is_later: bool


@dataclass(frozen=True, slots=True)
class PlanPreview:
    """What a change of plan would make of the open month's invoice: `present` is what it would be without."""

    plan: Plan
    starts_at: datetime
    present: Preview
    lines: tuple[Line, ...]

    @property
    def total_amount_minor(self) -> int:
        """Sum of the lines with the change."""
        return sum(line.amount_minor for line in self.lines)


async def offers(tenant: Tenant, now: datetime) -> list[Offer]:
    """The plans that can be had, lowest first, at what the organization would pay for them."""
    today = now.astimezone(UTC).date()
    rows = queries.offers(tenant.conn, organization_id=tenant.organization_id, today=today)
    return [Offer(**row) async for row in rows]


async def change(tenant: Tenant, wanted: Plan, now: datetime) -> PlannedOrganization:
    """Move to another plan: a higher one at once, a lower one with the next month (UTC).

    Asking for the present plan takes a pending change back. Raises Conflict CONFLICT for the plan it is on or that is
    pending already, and for an upgrade while an invoice is overdue. The caller bumps its limits after the commit.
    """
    await turn(tenant, now)
    found = await _lock(tenant, now)
    move = await _move(tenant, wanted, found["plan"], found["pending_plan"], now)
    if move.pending is not None:
        await work.announce(tenant, "plan_change")
    return await _write(tenant, move.plan, move.pending, now)


async def preview(tenant: Tenant, wanted: Plan, now: datetime) -> PlanPreview:
    """What moving to another plan now would make of this month's invoice, by the function that will write it.

    Changes nothing. Raises Conflict exactly where `change` does.
    """
    found = await queries.standing(tenant.conn, organization_id=tenant.organization_id, now=now)
    if found is None:
        raise NotFound("Organization")
    pending = found["pending_plan"] if found["pending_plan"] != found["plan_now"] else None
    move = await _move(tenant, wanted, found["plan_now"], pending, now)
    present = await previews.preview(tenant, now)
    starts_at = max(_month_end(present.month), now) if move.is_later else max(now, _start(present.month))
    rows = queries.charge_supposing(
        tenant.conn, organization_id=tenant.organization_id, month=present.month, plan=wanted, at_time=starts_at
    )
    lines = tuple([Line(**line) async for line in rows])
    return PlanPreview(wanted, starts_at, present, lines)


async def turn(tenant: Tenant, now: datetime) -> bool:
    """Put a pending plan into force once its month has begun; whether it did. The caller bumps limits afterwards."""
    found = await _lock(tenant, now)
    if found["pending_plan"] is None or found["plan_now"] != found["pending_plan"]:
        return False
    await _write(tenant, found["pending_plan"], None, now)
    return True


async def has_pending(tenant: Tenant, now: datetime) -> bool:
    """Whether a change waits for the next month."""
    found = await _lock(tenant, now)
    return found["pending_plan"] is not None


async def _move(tenant: Tenant, wanted: Plan, plan: Plan, pending: Plan | None, now: datetime) -> Move:
    """Where a wish leads: up at once, down with the next month, to the present plan by taking a planned move back."""
    if wanted == (pending or plan):
        raise Conflict("CONFLICT", f"The organization is on the {wanted} plan already", {"plan": wanted})
    if wanted == plan:
        return Move(wanted, None, is_later=True)
    if await _rank(tenant, wanted, now) < await _rank(tenant, plan, now):
        return Move(plan, wanted, is_later=True)
    if await queries.has_overdue(tenant.conn, organization_id=tenant.organization_id, now=now):
        raise Conflict("CONFLICT", "Pay the overdue invoice first", {"reason": "overdue_invoice"})
    return Move(wanted, None, is_later=False)


def _start(month: date) -> datetime:
    return datetime.combine(month, time(), UTC)


def _month_end(month: date) -> datetime:
    return _start((month + timedelta(days=31)).replace(day=1))


async def _lock(tenant: Tenant, now: datetime) -> Any:
    found = await queries.lock(tenant.conn, organization_id=tenant.organization_id, now=now)
    if found is None:
        raise NotFound("Organization")
    return found


async def _rank(tenant: Tenant, plan: Plan, now: datetime) -> int:
    rank: int = await queries.rank(tenant.conn, plan=plan, today=now.astimezone(UTC).date())
    return rank


async def _write(tenant: Tenant, plan: Plan, pending: Plan | None, now: datetime) -> PlannedOrganization:
    row = await queries.change(
        tenant.conn, organization_id=tenant.organization_id, plan=plan, pending_plan=pending, now=now
    )
    return PlannedOrganization(**row)
