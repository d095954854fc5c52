"""Closing months, and what operators and the worker do with invoices; amounts are computed by billing.charge in SQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import asyncpg

from db import invoices
from db.errors import Conflict
from db.invoices import Cycle, CycleStatus
from db.pool import Tenant
from db.statements import load
from db.types import CycleId, new_id

queries = load("billing")


@dataclass(frozen=True, slots=True)
class Seller:
    """Who sells, as documents issued from now on print it: the address a line each."""

    name: str | None = None
    address: str | None = None
    tax_number: str | None = None


NOBODY = Seller()
"""For documents without a seller of their own; the product always names one."""
REFUSALS = {"BIL02": "CONFLICT", "BIL03": "CONFLICT", "BIL04": "ALREADY_CREDITED"}


@dataclass(frozen=True, slots=True)
class Fate:
    """What closing a month would make of an invoice; `carried` is too small to be paid and goes to the next one."""

    total_minor: int
    status: Literal["pending", "paid", "carried", "parked"]
    reason: str | None


def last_month_over(now: datetime, grace: timedelta) -> date:
    """The first day of the newest month whose end is at least `grace` ago."""
    first = (now.astimezone(UTC) - grace).date().replace(day=1)
    return (first - timedelta(days=1)).replace(day=1)


def next_month(month: date) -> date:
    """The first day of the month after."""
    return (month.replace(day=1) + timedelta(days=31)).replace(day=1)


def last_billed(now: datetime) -> date:
    """The last month that a request made until `now` can be billed in.

    That is the month it was made in or, when that was closed already, the first open one; a month that has not begun is
    never closed (`usage.close_month`). The last hour of a month counts as the next: not all clocks agree.
    """
    return next_month((now.astimezone(UTC) + timedelta(hours=1)).date())


async def close_month(conn: Any, month: date, now: datetime) -> int:
    """Close a month and those before it for everybody; waits for requests being recorded. Returns how many."""
    closed: int = await queries.close_month(conn, month=month, now=now)
    return closed


async def last_closed_month(conn: Any) -> date | None:
    """The newest closed month, None before the first."""
    month: date | None = await queries.last_closed_month(conn)
    return month


async def unlisted_months(conn: Any) -> list[date]:
    """Closed months for which not every organization has had its closing job yet."""
    return [row["month"] async for row in queries.unlisted_months(conn)]


async def mark_listed(conn: Any, month: date, now: datetime) -> None:
    """Note that every organization has had its closing job for a month."""
    await queries.mark_listed(conn, month=month, now=now)


async def missing_months(tenant: Tenant) -> list[date]:
    """The closed months, from the organization's first on, that have no cycle yet, oldest first."""
    return [row["month"] async for row in queries.missing_months(tenant.conn, organization_id=tenant.organization_id)]


async def close_cycle(
    tenant: Tenant, month: date, now: datetime, due_days: int, seller: Seller = NOBODY
) -> Cycle | None:
    """Write the invoice of a closed month; None when it has one already. Due `due_days` after `now`.

    Several at once, or one after the other, make one invoice: the unique period decides.
    """
    cycle_id = CycleId(new_id())
    status = await queries.close_cycle(
        tenant.conn, organization_id=tenant.organization_id, month=month, id=cycle_id, now=now, due_days=due_days,
        seller_name=seller.name, seller_address=seller.address, seller_tax_number=seller.tax_number,
    )  # fmt: skip
    return await invoices.get(tenant, cycle_id) if status else None


async def fate(tenant: Tenant, month: date) -> Fate:
    """What closing a month would make of the organization's invoice; nothing is written."""
    return Fate(**await queries.fate(tenant.conn, organization_id=tenant.organization_id, month=month))


async def mark_overdue(tenant: Tenant, now: datetime) -> list[CycleId]:
    """Mark what is past its due date; the invoices that became overdue by this."""
    rows = queries.mark_overdue(tenant.conn, organization_id=tenant.organization_id, now=now)
    return [row["id"] async for row in rows]


async def mark_reminded(tenant: Tenant, cycle_id: CycleId, days: int) -> bool:
    """Note the reminder of so many days after the due date; False when it was sent before, or the money has come."""
    marked = await queries.mark_reminded(tenant.conn, organization_id=tenant.organization_id, id=cycle_id, days=days)
    return bool(marked)


async def review_keys(tenant: Tenant, now: datetime, after_days: int) -> Literal["suspended", "resumed"] | None:
    """Suspend the API keys when an invoice is overdue by `after_days` and no payment is pending; else let them work.

    None when all stays as it is. The caller bumps the organization's limits after the commit. For the worker's role.
    """
    verdict: Literal["suspended", "resumed"] | None = await queries.review_keys(
        tenant.conn, organization_id=tenant.organization_id, now=now, after_days=after_days
    )
    return verdict


async def release(
    tenant: Tenant, cycle_id: CycleId, reason: str, now: datetime, due_days: int, seller: Seller = NOBODY
) -> CycleStatus:
    """Issue a parked invoice after a person looked at it; its new status. For the worker's role.

    Raises Conflict when it is not parked.
    """
    with refusals():
        status: CycleStatus = await queries.release(
            tenant.conn, organization_id=tenant.organization_id, id=cycle_id, reason=reason, now=now, due_days=due_days,
            seller_name=seller.name, seller_address=seller.address, seller_tax_number=seller.tax_number,
        )  # fmt: skip
    return status


async def void(tenant: Tenant, cycle_id: CycleId, reason: str) -> None:
    """End a parked invoice that nobody shall owe. For the worker's role. Raises Conflict when it is not parked."""
    with refusals():
        await queries.void(tenant.conn, organization_id=tenant.organization_id, id=cycle_id, reason=reason)


@contextmanager
def refusals() -> Iterator[None]:
    """What the database refuses an operator, in its own words."""
    try:
        yield
    except asyncpg.PostgresError as error:
        code = REFUSALS.get(error.sqlstate or "")
        if code is None:
            raise
        raise Conflict(code, f"{str(error)[0].upper()}{str(error)[1:]}") from error
