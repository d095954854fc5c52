"""Mail about an organization's team: invitations, removals, new keys."""

from uuid import UUID

from db import emails, invitations, organizations
from db.pool import Tenant
from db.types import InvitationId
from jobs import email
from jobs.accounts import link
from jobs.providers.mail_kinds import Invitation, KeyCreated, SecurityNotice
from jobs.resources import Resources


@email.composer("invitation")
async def invitation(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> Invitation | None:
    """To whom a member invites; its token is made here, and an older one is void from now on."""
    found = await invitations.find_live(tenant, InvitationId(subject_id), resources.clock.now())
    if found is None:
        return None
    token = await invitations.issue_token(tenant, subject_id)
    url = link(resources, "/accept-invitation", token)
    return Invitation(found.inviter_email, found.organization_name, found.granted, url, found.expires_at)


@email.composer("removed_from_team")
async def removed(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> SecurityNotice:
    """To a person whose seat was removed by somebody else."""
    organization = await organizations.get(tenant)
    at = resources.clock.now()
    return SecurityNotice("removed_from_team", None, organization.name, at, None, None, link(resources, "/account"))


@email.composer("key_created")
async def key_created(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> KeyCreated | None:
    """Tells about a new API key; the key itself is nowhere to be found any more."""
    key = await emails.key_notice(tenant, subject_id)
    if key is None:
        return None
    organization = await organizations.get(tenant)
    hint = f"sk_{key.mode}_{key.first4}…{key.last4}"
    return KeyCreated(organization.name, key.name, hint, key.created_by, key.created_at, link(resources, "/keys"))
