"""Where what cannot be delivered comes back to: an address for each mail, when a domain of ours takes such mail."""

from uuid import UUID

from db.types import OrganizationId
from jobs.providers.mail_reports import Subject, return_address
from jobs.resources import Resources


def bounces_to(resources: Resources, subject: Subject, organization_id: OrganizationId, row_id: UUID) -> str | None:
    """The return address of one mail, None without BOUNCE_DOMAIN: then it is the sender's."""
    settings = resources.settings
    if settings.bounce_domain is None:
        return None
    return return_address(settings.jwt_secret, settings.bounce_domain, subject, organization_id, row_id)
