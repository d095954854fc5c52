"""What is owed too long: overdue by one conditional update, reminders on day 1, 7 and 14, then the API keys.

Keys are suspended some days after the due date, never while a payment is pending, and work again with the payment.
"""

from datetime import date, datetime, timedelta

import structlog

from db import billing, invoices, organizations, work
from db.invoices import Cycle
from db.pool import Tenant
from db.types import Actor, OrganizationId
from jobs import email
from jobs.app import job, periodic
from jobs.resources import Resources

WORKER = Actor("job")
REMINDER_DAYS = (14, 7, 1)
log = structlog.get_logger()


@periodic(cron="5 * * * *", queue="billing")
async def sweep(resources: Resources, timestamp: int) -> None:
    """Give every organization that owes an invoice its job."""
    async for organization_id in work.waiting(resources.database, "dunning"):
        async with resources.database.tenant(organization_id, WORKER) as tenant:
            await remind.configure(lock="remind").defer(tenant)


@job(queue="billing")
async def remind(resources: Resources, organization_id: OrganizationId) -> None:
    """Mark what is overdue and remind; whether it is still owed is read in the transaction that asks for the mail."""
    now = resources.clock.now()
    async with resources.database.tenant(organization_id, WORKER) as tenant:
        for cycle_id in await billing.mark_overdue(tenant, now):
            log.info("invoice.overdue", billing_cycle_id=str(cycle_id))
        await work.withdraw(tenant, "dunning")
        owed = await invoices.unpaid(tenant)
        for cycle in owed:
            await _remind_of(tenant, cycle, reminder_step(cycle, now))
        if owed:
            await work.announce(tenant, "dunning")
        await review_keys(resources, tenant)


async def _remind_of(tenant: Tenant, cycle: Cycle, step: int) -> None:
    if step and await billing.mark_reminded(tenant, cycle.id, step):
        log.info("invoice.reminded", billing_cycle_id=str(cycle.id), days=step)
        await email.enqueue(tenant, "overdue", subject_id=cycle.id, recipient=cycle.organization_email, step=step)


async def review_keys(resources: Resources, tenant: Tenant) -> None:
    """Suspend the organization's keys, or let them work again, in the caller's transaction, and say so by mail.

    A job of the same transaction tells every process, so that a crash after the commit keeps none in the dark.
    """
    now = resources.clock.now()
    verdict = await billing.review_keys(tenant, now, resources.settings.suspend_after_days)
    if verdict is None:
        return
    organization = await organizations.get(tenant)
    cause = int(now.timestamp()) // 60
    await email.enqueue(
        tenant, f"keys_{verdict}", subject_id=tenant.organization_id, recipient=organization.email, step=cause
    )
    await tell_processes.defer(tenant)
    event = "keys.suspended" if verdict == "suspended" else "keys.resumed"
    log.warning(event, organization_id=str(tenant.organization_id))


@job(queue="billing")
async def tell_processes(resources: Resources, organization_id: OrganizationId) -> None:
    """Make every process read anew whether the organization's keys work."""
    await resources.limits.bump(organization_id)


def keys_work_until(resources: Resources, cycle: Cycle) -> date | None:
    """The last day on which API keys work while an invoice is unpaid; None for one that was not issued."""
    if cycle.due_date is None:
        return None
    return (cycle.due_date + timedelta(days=resources.settings.suspend_after_days)).date()


def reminder_step(cycle: Cycle, now: datetime) -> int:
    """The reminder that is due: 1, 7 or 14 days after the due date, else 0. A worker long away sends the last alone."""
    days = days_overdue(cycle, now)
    return next((step for step in REMINDER_DAYS if days >= step), 0)


def days_overdue(cycle: Cycle, now: datetime) -> int:
    """Whole days since the due date; 0 before it."""
    return max(0, (now - cycle.due_date).days) if cycle.due_date else 0
