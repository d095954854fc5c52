"""The trail's anchors: each day every chain's head goes, signed, to the log, where Postgres cannot reach it."""

import hmac
from hashlib import sha256

import structlog

from db import audit, maintenance
from db.types import Actor, OrganizationId
from jobs.app import periodic
from jobs.resources import Resources

log = structlog.get_logger()
WORKER = Actor("job")


@periodic(cron="7 4 * * *", queue="maintenance")
async def anchor(resources: Resources, timestamp: int) -> None:
    """Verify every chain and log its head; one organization's trouble does not stop the rest."""
    async for organization_id in maintenance.organizations(resources.database):
        try:
            await _anchor_one(resources, organization_id)
        except Exception:
            log.exception("audit.anchor_failed", organization_id=str(organization_id))


async def _anchor_one(resources: Resources, organization_id: OrganizationId) -> None:
    async with resources.database.tenant(organization_id, WORKER, read_only=True) as tenant:
        verdict, head = await audit.verify(tenant), await audit.head(tenant)
    if not verdict.is_intact:
        log.error(
            "audit.chain_broken",
            organization_id=str(organization_id),
            position=verdict.broken_at,
            reason=verdict.reason,
        )
    elif head is not None:
        log.info(
            "audit.anchor",
            organization_id=str(organization_id),
            position=head.position,
            hash=head.hash.hex(),
            signature=signature(resources.settings.jwt_secret.get_secret_value(), organization_id, head),
        )


def signature(secret: str, organization_id: OrganizationId, head: audit.Head) -> str:
    """HMAC-SHA256 in hex over organization, position and hash, by a key derived from the installation's secret."""
    key = hmac.digest(secret.encode(), b"audit anchor", sha256)
    return hmac.new(key, f"{organization_id}:{head.position}:{head.hash.hex()}".encode(), sha256).hexdigest()
