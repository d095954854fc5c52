"""Usage is counted every hour, compared every night, and forgotten when it is old and counted."""

from datetime import date, timedelta

import structlog

from db import maintenance, rollups
from db.types import Actor
from jobs.app import periodic
from jobs.resources import Resources

log = structlog.get_logger()
WORKER = Actor("job")
COMPARED_DAYS = 35
LOOKED_BACK_MONTHS = 12


@periodic(cron="*/10 * * * *", queue="maintenance", waits_once=True)
async def count(resources: Resources, timestamp: int) -> None:
    """Roll up every hour that has ended; a tick that finds none does nothing."""
    steps = await rollups.roll_up(resources.database, resources.clock.now())
    log.debug("usage.rolled_up", steps=steps)


@periodic(cron="7 4 * * *", queue="maintenance")
async def compare(resources: Resources, timestamp: int) -> None:
    """Compare the roll-ups of five weeks with the records; a difference is reported, never corrected."""
    first_day = resources.clock.now().date() - timedelta(days=COMPARED_DAYS)
    found = 0
    async for organization_id in maintenance.organizations(resources.database):
        try:
            async with resources.database.tenant(organization_id, WORKER, read_only=True) as tenant:
                for difference in await rollups.differences(tenant, first_day):
                    found += 1
                    _report(str(organization_id), difference)
        except Exception:
            log.exception("usage.not_compared", organization_id=str(organization_id))
    log.info("usage.compared", differences=found)


def _report(organization_id: str, difference: rollups.Difference) -> None:
    log.error(
        "usage.difference", organization_id=organization_id, rollup=difference.rollup, since=str(difference.since),
        endpoint=difference.endpoint, recorded=difference.recorded, rolled_up=difference.rolled_up,
    )  # fmt: skip


@periodic(cron="37 4 2 * *", queue="maintenance")
async def retire(resources: Resources, timestamp: int) -> None:
    """Take records out that are older than USAGE_KEPT_MONTHS; a month that is still open or uncounted stays."""
    kept = resources.settings.usage_kept_months
    if kept is None:
        return
    for month in months_before(resources.clock.now().date(), kept, LOOKED_BACK_MONTHS):
        try:
            if await rollups.detach(resources.database, month):
                log.info("usage.detached", month=month.isoformat())
        except RuntimeError as error:
            log.warning("usage.kept", month=month.isoformat(), reason=str(error))


def months_before(today: date, kept: int, count: int) -> list[date]:
    """The first days of up to `count` months that are older than `kept` whole months before this one, oldest first."""
    number = today.year * 12 + today.month - 1 - kept
    return [date(each // 12, each % 12 + 1, 1) for each in range(number - count, number)]
