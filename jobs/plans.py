"""Planned changes of plan come into force when their month begins."""

import structlog

from db import plans, work
from db.types import Actor, OrganizationId
from jobs.app import periodic
from jobs.resources import Resources

WORKER = Actor("job")
log = structlog.get_logger()


@periodic(cron="*/10 * * * *", queue="billing")
async def turn(resources: Resources, timestamp: int) -> None:
    """Let every organization whose month has come have its pending plan; one's trouble does not stop the rest."""
    async for organization_id in work.waiting(resources.database, "plan_change"):
        try:
            await turn_one(resources, organization_id)
        except Exception:
            log.exception("plan.turn_failed", organization_id=str(organization_id))


async def turn_one(resources: Resources, organization_id: OrganizationId) -> None:
    """Put one organization's pending plan into force if it is time. What it costs follows from the segments anyway."""
    now = resources.clock.now()
    async with resources.database.tenant(organization_id, WORKER) as tenant:
        turned = await plans.turn(tenant, now)
        await work.withdraw(tenant, "plan_change")
        if await plans.has_pending(tenant, now):
            await work.announce(tenant, "plan_change")
    if turned:
        await resources.limits.bump(organization_id, recount=True)
        log.info("plan.turned", organization_id=str(organization_id))
