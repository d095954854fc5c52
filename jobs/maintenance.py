"""The house's chores: partitions ahead of time, jobs of killed workers taken over, old answers forgotten."""

from datetime import timedelta

import structlog

from db import idempotency, maintenance
from db.types import Actor
from jobs.app import periodic
from jobs.resources import Resources

log = structlog.get_logger()
WORKER = Actor("job")
DEAD_AFTER_SECONDS = 30.0
FAILED_KEPT_DAYS = 30


@periodic(cron="17 3 * * *", queue="maintenance")
async def create_partitions(resources: Resources, timestamp: int) -> None:
    """Make next months' partitions of the usage records."""
    await maintenance.create_usage_partitions(resources.database, resources.clock.now().date())


@periodic(cron="47 3 * * *", queue="maintenance")
async def forget_answers(resources: Resources, timestamp: int) -> None:
    """Delete stored idempotent answers that are older than a day; one organization's trouble does not stop the rest."""
    before = resources.clock.now() - timedelta(hours=24)
    async for organization_id in maintenance.organizations(resources.database):
        try:
            async with resources.database.tenant(organization_id, WORKER) as tenant:
                await idempotency.prune(tenant, before)
        except Exception:
            log.exception("idempotency.prune_failed", organization_id=str(organization_id))


@periodic(cron="* * * * * */15", queue="maintenance", waits_once=True)
async def rescue_stalled(resources: Resources, timestamp: int) -> None:
    """Take over what killed workers had in hand: a job runs again, and finds what it did already."""
    rescued = await maintenance.rescue_stalled_jobs(resources.database, DEAD_AFTER_SECONDS)
    if rescued:
        log.warning("jobs.rescued", count=rescued)


@periodic(cron="27 3 * * *", queue="maintenance")
async def forget_finished(resources: Resources, timestamp: int) -> None:
    """Delete failed jobs after a month; until then they are visible."""
    log.info("jobs.forgotten", count=await maintenance.forget_finished_jobs(resources.database, FAILED_KEPT_DAYS))
