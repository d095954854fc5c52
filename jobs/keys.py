"""Mail about keys that got out."""

from uuid import UUID

from db import emails, organizations, team
from db.pool import Tenant
from db.types import ApiKeyId
from jobs import email
from jobs.accounts import link
from jobs.providers.mail_kinds import SecurityNotice
from jobs.resources import Resources


async def tell_owners(tenant: Tenant, key_id: ApiKeyId) -> None:
    """Ask for a mail to each owner about a key that was reported, once for the key."""
    for owner in await team.owners(tenant):
        await email.enqueue(tenant, "key_reported", subject_id=key_id, recipient=owner.email)


@email.composer("key_reported")
async def key_reported(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> SecurityNotice | None:
    """To an owner: a key was found in public, and is revoked."""
    key = await emails.key_notice(tenant, subject_id)
    if key is None:
        return None
    organization = await organizations.get(tenant)
    named = f"{key.name} (sk_{key.mode}_{key.first4}…{key.last4})"
    at, url = resources.clock.now(), link(resources, "/keys")
    return SecurityNotice("key_reported", None, organization.name, at, None, None, url, key=named)
