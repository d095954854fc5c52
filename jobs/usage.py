"""Tells owners and admins when a month's included requests are used up to 80 and to 100 percent, once each.

The process that admits the request which reaches a threshold announces its organization; a job looks at those every
minute. An announcement that got lost, and plans without a hard quota, are found by the look at everybody once an hour.
"""

from uuid import UUID

import structlog

from db import alerts, maintenance, work
from db.alerts import Percent, Standing
from db.pool import Tenant
from db.types import Actor, Money, OrganizationId
from jobs import email
from jobs.accounts import link
from jobs.app import periodic
from jobs.providers.mail_kinds import UsageAlert
from jobs.providers.mail_words import month
from jobs.resources import Resources
from jobs.seals import seal

WORKER = Actor("job")
THRESHOLDS: tuple[Percent, ...] = (100, 80)
UNSUBSCRIBE = "unsubscribe"
log = structlog.get_logger()


@periodic(cron="* * * * *", queue="maintenance", waits_once=True)
async def alert(resources: Resources, timestamp: int) -> None:
    """Look at the organizations that have just reached a threshold."""
    async for organization_id in work.waiting(resources.database, "usage_alert"):
        await _look(resources, organization_id)


@periodic(cron="23 * * * *", queue="maintenance", waits_once=True)
async def alert_all(resources: Resources, timestamp: int) -> None:
    """Look at every organization."""
    async for organization_id in maintenance.organizations(resources.database):
        await _look(resources, organization_id)


@email.composer("usage_alert")
async def usage_alert(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> UsageAlert | None:
    """To an owner or admin; nothing for one who is none any more, or does not want it any more."""
    found = await alerts.get(tenant, subject_id)
    reader = next((reader for reader in await alerts.readers(tenant) if reader.email == recipient), None)
    if found is None or reader is None:
        return None
    token = seal(resources.settings.jwt_secret, UNSUBSCRIBE, tenant.organization_id, reader.user_id)
    return UsageAlert(
        found.organization, found.plan, month(found.month), found.percent, found.used, found.included,
        Money(found.overage_minor) if found.overage_minor is not None else None,
        link(resources, "/usage"), link(resources, f"/unsubscribe/{token}"), found.overage_per or 1,
    )  # fmt: skip


async def _look(resources: Resources, organization_id: OrganizationId) -> None:
    try:
        async with resources.database.tenant(organization_id, WORKER) as tenant:
            await work.withdraw(tenant, "usage_alert")
            await _tell(resources, tenant)
    except Exception:
        # One organization's trouble must not keep the others waiting; the next hour looks again.
        log.exception("usage.alert_failed", organization_id=str(organization_id))


async def _tell(resources: Resources, tenant: Tenant) -> None:
    """Note each threshold that was reached; of two reached at once only the higher one is mailed."""
    now = resources.clock.now()
    found = await alerts.standing(tenant, now)
    reached = [percent for percent in THRESHOLDS if _reaches(found, percent)]
    noted = {percent: await alerts.add(tenant, percent, found, now) for percent in reached}
    alert_id = noted[reached[0]] if reached else None
    if alert_id is None:
        return
    for reader in await alerts.readers(tenant):
        await email.enqueue(tenant, "usage_alert", subject_id=alert_id, recipient=reader.email)
    log.info("usage.alerted", percent=reached[0], used=found.used, included=found.included)


def _reaches(found: Standing, percent: Percent) -> bool:
    """Whether it is used so far; where further requests cost nothing, nothing is used up."""
    if not found.included or found.overage_minor == 0:
        return False
    return found.used * 100 >= found.included * percent
