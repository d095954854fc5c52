"""What is owed too long: overdue by one conditional update, reminders on day 1, 7 and 14, each once for an invoice."""

from datetime import datetime

import structlog

from db import billing, invoices, work
from db.invoices import Cycle
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
            step = reminder_step(cycle, now)
            if step:
                await email.enqueue(
                    tenant, "overdue", subject_id=cycle.id, recipient=cycle.organization_email, step=step
                )
        if owed:
            await work.announce(tenant, "dunning")


def reminder_step(cycle: Cycle, now: datetime) -> int:
    """The reminder that is due: 1, 7 or 14 days after the due date, else 0. A worker long away sends the last alone."""
    days = days_overdue(cycle, now)
    return next((step for step in REMINDER_DAYS if days >= step), 0)


def days_overdue(cycle: Cycle, now: datetime) -> int:
    """Whole days since the due date; 0 before it."""
    return max(0, (now - cycle.due_date).days) if cycle.due_date else 0
