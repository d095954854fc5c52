"""Closing months: asks which closed months have no invoice yet, whatever day it is, and writes them."""

from datetime import date, timedelta

import structlog

from db import billing, maintenance, work
from db.billing import Seller
from db.invoices import Cycle
from db.pool import Tenant
from db.types import Actor, OrganizationId
from jobs import email, reconciliation
from jobs.app import job, periodic
from jobs.resources import Resources
from settings import Settings

WORKER = Actor("job")
log = structlog.get_logger()


@periodic(cron="*/10 * * * *", queue="billing")
async def close_months(resources: Resources, timestamp: int) -> None:
    """Close the months that are over and past their grace, and give every organization its closing job."""
    await close_until(resources, last_month_over(resources))
    await list_organizations(resources)


@periodic(cron="20 5 * * *", queue="billing")
async def catch_up(resources: Resources, timestamp: int) -> None:
    """Ask every organization once a day for closed months without an invoice; one's trouble does not stop the rest.

    It makes the job fail at the end: whoever was left out is not left until the next day, but until the job's retry.
    """
    trouble: Exception | None = None
    async for organization_id in maintenance.organizations(resources.database):
        try:
            await _queue_missing(resources, organization_id)
        except Exception as error:
            log.exception("billing.catch_up_failed", organization_id=str(organization_id))
            trouble = error
    if trouble is not None:
        raise trouble


@job(queue="billing")
async def close_organization(resources: Resources, organization_id: OrganizationId) -> None:
    """Write an organization's missing invoices, oldest first, each in a transaction of its own; harmless to repeat."""
    while True:
        async with resources.database.tenant(organization_id, WORKER) as tenant:
            missing = await billing.missing_months(tenant)
            if not missing:
                return
            await close_one(resources, tenant, missing[0])


async def close_one(resources: Resources, tenant: Tenant, month: date) -> Cycle | None:
    """Write one invoice and ask for its mail in the caller's transaction; None when somebody else wrote it."""
    settings = resources.settings
    cycle = await billing.close_cycle(
        tenant, month, resources.clock.now(), settings.invoice_due_days, seller_of(settings)
    )
    if cycle is None:
        return None
    log.info("invoice.closed", month=f"{month:%Y-%m}", status=cycle.status, amount_minor=cycle.total_amount_minor)
    if cycle.status == "parked":
        log.error("invoice.parked", billing_cycle_id=str(cycle.id), reason=cycle.remark)
    await announce(tenant, cycle)
    return cycle


def seller_of(settings: Settings) -> Seller:
    """Who sells today; each document keeps it as it was when it was issued."""
    lines = [line.strip() for line in (settings.seller_address or "").split(";")]
    return Seller(settings.seller_name, "\n".join(line for line in lines if line) or None, settings.seller_tax_number)


async def announce(tenant: Tenant, cycle: Cycle) -> None:
    """Mail an invoice that is to be paid, once, and remember that somebody owes it."""
    if cycle.status == "pending":
        await email.enqueue(tenant, "invoice", subject_id=cycle.id, recipient=cycle.organization_email)
        await work.announce(tenant, "dunning")


async def close_until(resources: Resources, month: date) -> int:
    """Close a month and those before it for the whole installation; how many were open."""
    async with resources.database.resolver() as conn:
        last = await billing.last_closed_month(conn)
        if last is not None and last >= month:
            return 0
        closed = await billing.close_month(conn, month, resources.clock.now())
    log.info("month.closed", month=f"{month:%Y-%m}", count=closed)
    return closed


async def list_organizations(resources: Resources) -> None:
    """Queue a closing job for every organization, for closed months that have not been listed to the end."""
    async with resources.database.resolver(read_only=True) as conn:
        unlisted = await billing.unlisted_months(conn)
    if not unlisted:
        return
    async for organization_id in maintenance.organizations(resources.database):
        async with resources.database.tenant(organization_id, WORKER) as tenant:
            await _queue(tenant, unlisted[-1])
    async with resources.database.resolver() as conn:
        for month in unlisted:
            await billing.mark_listed(conn, month, resources.clock.now())


@periodic(cron="50 4 * * *", queue="maintenance")
async def reconcile(resources: Resources, timestamp: int) -> None:
    """Compare the books of every organization, and keep how many differences there are."""
    await reconciliation.run(resources)


def last_month_over(resources: Resources) -> date:
    """The newest month that may be closed now."""
    return billing.last_month_over(resources.clock.now(), timedelta(minutes=resources.settings.billing_grace_minutes))


async def _queue_missing(resources: Resources, organization_id: OrganizationId) -> None:
    async with resources.database.tenant(organization_id, WORKER) as tenant:
        missing = await billing.missing_months(tenant)
        if missing:
            await _queue(tenant, missing[-1])


async def _queue(tenant: Tenant, month: date) -> None:
    """The lock is made of the month: however many ask, one works at a time and the others find nothing to do."""
    await close_organization.configure(lock=f"close:{month:%Y-%m}").defer(tenant)
