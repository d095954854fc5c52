"""Usage, invoices, payments and provider events compared: every difference between figures that should be one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.pool import Tenant
from db.queue import Figure
from db.statements import load

queries = load("reconciliation")


@dataclass(frozen=True, slots=True)
class Difference:
    """Two figures that should be one."""

    finding: str
    subject: UUID | str | None
    expected: int
    found: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One run over the installation: organizations compared and not, and how many differences of each kind."""

    started_at: datetime
    finished_at: datetime
    organizations: int
    failures: int
    findings: dict[str, int]


async def reconcile(tenant: Tenant) -> list[Difference]:
    """Every difference between usage, invoices, payments and the ledger of the organization."""
    rows = queries.reconcile(tenant.conn, organization_id=tenant.organization_id)
    return [Difference(**row) async for row in rows]


async def of_payments(tenant: Tenant, since: datetime, until: datetime) -> list[Difference]:
    """Payments that no webhook told of, and webhooks whose payment is not in the books. For the worker's role."""
    rows = queries.of_payments(tenant.conn, organization_id=tenant.organization_id, since=since, until=until)
    return [Difference(**row) async for row in rows]


async def of_events(conn: Any, since: datetime, until: datetime) -> list[Difference]:
    """Events of a span that were not handled, not matched, or that failed a check. For the worker's role."""
    return [Difference(**row) async for row in queries.of_events(conn, since=since, until=until)]


async def store(conn: Any, run: Reconciliation) -> None:
    """Keep what a run found, for those who watch. For the worker's role."""
    await queries.store(
        conn, started_at=run.started_at, finished_at=run.finished_at, organizations=run.organizations,
        failures=run.failures, findings=run.findings,
    )  # fmt: skip


async def figures(conn: Any) -> list[Figure]:
    """The last reconciliation as figures; nothing before the first."""
    return [Figure(**row) async for row in queries.figures(conn)]
