"""What the invoice of the open month would be now."""

from dataclasses import dataclass
from datetime import date, datetime

from db.errors import NotFound
from db.invoices import Line, LineKind
from db.pool import Tenant
from db.statements import load
from db.types import Plan

queries = load("previews")

REQUEST_LINES: tuple[LineKind, ...] = ("included", "overage", "late")


@dataclass(frozen=True, slots=True)
class Preview:
    """What the invoice of the open month would be now."""

    month: date
    plan: Plan
    pending_plan: Plan | None
    currency: str
    lines: tuple[Line, ...]

    @property
    def total_amount_minor(self) -> int:
        """Sum of the lines."""
        return sum(line.amount_minor for line in self.lines)

    def requests(self, *kinds: LineKind) -> int:
        """Requests on the lines of some kinds."""
        return sum(line.quantity for line in self.lines if line.kind in (kinds or REQUEST_LINES))

    def minor(self, *kinds: LineKind) -> int:
        """Minor units on the lines of some kinds."""
        return sum(line.amount_minor for line in self.lines if line.kind in kinds)


async def preview(tenant: Tenant, now: datetime) -> Preview:
    """What the invoice of the month that is open now would be, computed by the function that will write it."""
    return await charge(tenant, await queries.open_month(tenant.conn, now=now))


async def charge(tenant: Tenant, month: date) -> Preview:
    """What the invoice of a month is or would be."""
    row = await queries.plan(tenant.conn, organization_id=tenant.organization_id)
    if row is None:
        raise NotFound("Organization")
    rows = queries.charge(tenant.conn, organization_id=tenant.organization_id, month=month)
    lines = tuple([Line(**line) async for line in rows])
    return Preview(month, row["plan"], row["pending_plan"], "USD", lines)
