"""Compares usage, invoices, payments, ledger and webhooks of everybody; differences are reported, never corrected."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import structlog

from db import maintenance, reconciliation
from db.reconciliation import Difference, Reconciliation
from db.types import Actor, OrganizationId
from jobs.resources import Resources

WORKER = Actor("job")
LOOK_BACK = timedelta(days=3)
UNDER_WAY = timedelta(hours=1)  # an event this young may not have been handled yet
log = structlog.get_logger()


async def run(resources: Resources) -> Reconciliation:
    """Compare the whole installation, log each difference, and keep their number; one's trouble stops nobody."""
    started_at, compared, failures = resources.clock.now(), 0, 0
    findings: Counter[str] = Counter()
    async for organization_id in maintenance.organizations(resources.database):
        try:
            differences = await of_organization(resources, organization_id)
        except Exception:
            log.exception("billing.not_reconciled", organization_id=str(organization_id))
            failures += 1
            continue
        compared += 1
        for found in differences:
            _report(found, organization_id)
            findings[found.finding] += 1
    async for found in of_events(resources):
        _report(found)
        findings[found.finding] += 1
    return await _keep(resources, Reconciliation(started_at, resources.clock.now(), compared, failures, findings))


async def of_organization(resources: Resources, organization_id: OrganizationId) -> list[Difference]:
    """Every difference of one organization: its books, and its payments of three days against what was told of them."""
    now = resources.clock.now()
    async with resources.database.tenant(organization_id, WORKER, read_only=True) as tenant:
        found = await reconciliation.reconcile(tenant)
        return found + await reconciliation.of_payments(tenant, now - LOOK_BACK, now - UNDER_WAY)


async def of_events(resources: Resources) -> AsyncIterator[Difference]:
    """Events of three days that came to nothing although they speak of a payment of ours."""
    now = resources.clock.now()
    async with resources.database.resolver(read_only=True) as conn:
        found = await reconciliation.of_events(conn, now - LOOK_BACK, now - UNDER_WAY)
    for difference in found:
        yield difference


async def _keep(resources: Resources, found: Reconciliation) -> Reconciliation:
    async with resources.database.resolver() as conn:
        await reconciliation.store(conn, found)
    log.info(
        "billing.reconciled", count=found.organizations, failures=found.failures,
        differences=sum(found.findings.values()),
    )  # fmt: skip
    return found


def _report(found: Difference, organization_id: OrganizationId | None = None) -> None:
    whose = {"organization_id": str(organization_id)} if organization_id else {}
    log.error(
        "billing.difference", finding=found.finding, subject=str(found.subject), expected=found.expected,
        found=found.found, **whose,
    )  # fmt: skip
