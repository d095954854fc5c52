"""Mail about an organization's team: invitations, removals, new keys."""

from collections.abc import Iterable
from uuid import UUID

from db import emails, invitations, organizations, team
from db.errors import NotFound
from db.pool import Tenant
from db.team import Member
from db.types import InvitationId, UserId
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


@email.composer("role_changed")
async def role_changed(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> SecurityNotice | None:
    """To a person whose role was changed by somebody else; names the role that she has now."""
    try:
        member = await team.member(tenant, UserId(subject_id))
    except NotFound:
        return None
    organization, at = await organizations.get(tenant), resources.clock.now()
    url = link(resources, "/team")
    return SecurityNotice("role_changed", member.full_name, organization.name, at, None, None, url, role=member.role)


@email.composer("new_owner")
async def new_owner(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> SecurityNotice:
    """To each who was an owner when another person became one; also when that person has left since."""
    person = await team.email_of(tenant, UserId(subject_id))
    organization, at = await organizations.get(tenant), resources.clock.now()
    return SecurityNotice("new_owner", None, organization.name, at, None, None, link(resources, "/team"), person=person)


async def tell_of_role(tenant: Tenant, changed: Member, former_owners: Iterable[Member]) -> None:
    """Ask, under the lock on seats, for the mails about a role that somebody changed: to the person, to the owners."""
    await _tell(tenant, "role_changed", changed, changed.email)
    for owner in former_owners if changed.role == "owner" else ():
        await _tell(tenant, "new_owner", changed, owner.email)


async def _tell(tenant: Tenant, kind: str, changed: Member, recipient: str) -> None:
    step = await team.count_notices(tenant, kind, changed.id, recipient)
    await email.enqueue(tenant, kind, subject_id=changed.id, recipient=recipient, step=step)


@email.composer("key_created")
async def key_created(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> KeyCreated | None:
    """Tells about a new API key; the key itself is nowhere to be found any more."""
    key = await emails.key_notice(tenant, subject_id)
    if key is None:
        return None
    organization = await organizations.get(tenant)
    hint = f"sk_{key.mode}_{key.first4}…{key.last4}"
    return KeyCreated(organization.name, key.name, hint, key.created_by, key.created_at, link(resources, "/keys"))
