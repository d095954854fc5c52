"""Invoices as they are read: issued ones and parked ones, with their lines."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Literal
from uuid import UUID

from db.errors import NotFound
from db.pool import Tenant
from db.statements import load
from db.types import CycleId, Money, Plan

queries = load("invoices")

CycleStatus = Literal["pending", "paid", "overdue", "parked", "void"]
LineKind = Literal["base", "included", "overage", "late", "carry", "remainder", "tax", "credit"]


@dataclass(frozen=True, slots=True)
class Share:
    """What one API key, or one endpoint, has in the price of an overage; the shares of a part sum to the line."""

    part: Literal["api_key", "endpoint"]
    label: str
    api_key_id: UUID | None
    endpoint: str | None
    method: str | None
    requests: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `amount_minor` is `unit_minor` for each `unit_per` of `quantity` (days of a base, else requests)."""

    position: int
    kind: LineKind
    plan: Plan | None
    description: str
    quantity: int
    unit_minor: int
    unit_per: int
    amount_minor: int
    shares: tuple[Share, ...] = ()

    def shares_of(self, part: Literal["api_key", "endpoint"]) -> list[Share]:
        """The shares of the keys, or of the endpoints."""
        return [share for share in self.shares if share.part == part]


@dataclass(frozen=True, slots=True)
class Cycle:
    """The invoice of one month; `number` and the dates are None while a safety bound holds it back.

    `remainder_minor` was left to pay after money went back and is too small for a provider: the next one asks for it.
    """

    id: CycleId
    period_start: datetime
    period_end: datetime
    number: int | None
    organization_name: str
    organization_email: str
    plan: Plan
    currency: str
    total_requests: int
    total_amount_minor: int
    paid_minor: int
    credited_minor: int
    remainder_minor: int
    status: CycleStatus
    remark: str | None
    issued_at: datetime | None
    due_date: datetime | None
    paid_at: datetime | None
    seller_name: str | None
    seller_address: str | None
    seller_tax_number: str | None
    lines: tuple[Line, ...] = field(default=())

    @property
    def total(self) -> Money:
        """What the lines sum to."""
        return Money(self.total_amount_minor, self.currency)

    @property
    def outstanding(self) -> Money:
        """What is still owed."""
        covered = self.paid_minor + self.credited_minor + self.remainder_minor
        owed = 0 if self.status == "void" else self.total_amount_minor - covered
        return Money(max(0, owed), self.currency)

    @property
    def month(self) -> date:
        """The first day of the month."""
        return self.period_start.astimezone(UTC).date()

    @property
    def number_text(self) -> str:
        """The number as people read it: INV-2026-000117; the year is that of the issue."""
        return number_text(self.number, self.issued_at)


def number_text(number: int | None, issued_at: datetime | None) -> str:
    """An invoice's number as people read it."""
    if number is None or issued_at is None:
        return "not issued"
    return f"INV-{issued_at.astimezone(UTC).year}-{number:06}"


@dataclass(frozen=True, slots=True)
class Totals:
    """What an organization's issued invoices sum to, in minor units."""

    invoices: int
    billed_minor: int
    paid_minor: int
    outstanding_minor: int


async def issued(tenant: Tenant, page: int, size: int) -> tuple[list[Cycle], Totals]:
    """One page of issued invoices, newest first, and what all of them sum to."""
    rows = queries.issued(tenant.conn, organization_id=tenant.organization_id, limit=size, offset=(page - 1) * size)
    cycles = [Cycle(**row) async for row in rows]
    return cycles, Totals(**await queries.totals(tenant.conn, organization_id=tenant.organization_id))


async def get(tenant: Tenant, cycle_id: CycleId) -> Cycle:
    """An invoice with its lines, parked ones too. Raises NotFound."""
    row = await queries.get(tenant.conn, organization_id=tenant.organization_id, id=cycle_id)
    if row is None:
        raise NotFound("Invoice")
    rows = queries.lines(tenant.conn, organization_id=tenant.organization_id, billing_cycle_id=cycle_id)
    return Cycle(**row, lines=tuple([Line(**line) async for line in rows]))


async def get_issued(tenant: Tenant, cycle_id: CycleId) -> Cycle:
    """An invoice as its organization may see it: one that is held back is not found. Raises NotFound."""
    cycle = await get(tenant, cycle_id)
    if cycle.issued_at is None:
        raise NotFound("Invoice")
    return cycle


async def with_shares(tenant: Tenant, cycle: Cycle) -> Cycle:
    """The invoice with each overage told apart by the keys and by the endpoints that made it."""
    rows = queries.overage_shares(
        tenant.conn, organization_id=tenant.organization_id, month=cycle.month, billing_cycle_id=cycle.id
    )
    shares: dict[int, list[Share]] = {}
    async for row in rows:
        shares.setdefault(row["position"], []).append(_share(row))
    lines = [replace(line, shares=tuple(shares.get(line.position, ()))) for line in cycle.lines]
    return replace(cycle, lines=tuple(lines))


async def parked(tenant: Tenant) -> list[Cycle]:
    """Invoices that a safety bound holds back."""
    return [Cycle(**row) async for row in queries.parked(tenant.conn, organization_id=tenant.organization_id)]


async def unpaid(tenant: Tenant) -> list[Cycle]:
    """Invoices that are owed, oldest first."""
    return [Cycle(**row) async for row in queries.unpaid(tenant.conn, organization_id=tenant.organization_id)]


async def is_missing(tenant: Tenant, month: date) -> bool:
    """Whether the organization existed in a month and has no invoice of it."""
    missing: bool = await queries.is_missing(tenant.conn, organization_id=tenant.organization_id, month=month)
    return missing


def _share(row: Any) -> Share:
    masked = f"{row['name']} (sk_{row['mode']}_{row['first4']}…{row['last4']})"
    label = masked if row["part"] == "api_key" else f"{row['method']} {row['endpoint']}"
    return Share(
        row["part"], label, row["api_key_id"], row["endpoint"], row["method"], row["requests"], row["amount_minor"]
    )
