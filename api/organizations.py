"""The organization's own profile."""

from api.fields import Body, Name
from api.http import ANY_USER, Permission, Router, UserCall
from api.people import OrganizationAnswer
from db import organizations

router = Router("/organization", tag="Team")


class Profile(Body):
    """What can be changed about an organization."""

    name: Name


@router.get("", access=ANY_USER)
async def show(call: UserCall) -> OrganizationAnswer:
    """The organization one works in."""
    return OrganizationAnswer.of(await organizations.get(call.tenant))


@router.put("", access=Permission.MANAGE_ORGANIZATION, message="Organization renamed")
async def rename(call: UserCall, body: Profile) -> OrganizationAnswer:
    """Give the organization another name; invoices issued before keep the old one."""
    return OrganizationAnswer.of(await organizations.rename(call.tenant, body.name, call.now()))
