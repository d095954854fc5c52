"""Refuse everything of one organization from now on: sessions and API keys answer 403 ORGANIZATION_SUSPENDED.

Its data stays as it is, its invoices go on. Who did it and why is in its audit trail. `mts resume` lets it in again.
"""

import argparse
import asyncio

from cli.environment import resolve
from cli.errors import CommandError
from cli.organizations import add_organization, add_reason, operator, organization_id, reason, tell_everybody
from db import suspension
from db.errors import NotFound, Unavailable
from db.types import SYSTEM, OrganizationId
from jobs import logs
from jobs.resources import open_resources
from settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the organization and the reason."""
    add_organization(parser)
    add_reason(parser)


def run(args: argparse.Namespace) -> int:
    """Suspend as app_worker; when it has answered, no process admits anything of the organization."""
    return change(args, suspended=True)


def change(args: argparse.Namespace, *, suspended: bool) -> int:
    """Suspend or resume; 1 when Redis could not be told."""
    organization, why = organization_id(args.organization), reason(args.reason)
    settings = resolve("app_worker")
    logs.configure("error")
    try:
        return asyncio.run(_change(settings, organization, why, suspended))
    except NotFound:
        raise CommandError(f"There is no organization {organization}.") from None
    except Unavailable as error:
        raise CommandError(f"The database does not answer: {error.__cause__ or error}") from error


async def _change(settings: Settings, organization: OrganizationId, why: str, suspended: bool) -> int:
    act = suspension.suspend if suspended else suspension.resume
    async with open_resources(settings) as resources:
        async with resources.database.tenant(organization, SYSTEM) as tenant:
            is_changed = await act(tenant, operator=operator(), reason=why)
        code = await tell_everybody(resources.limits, organization)
    state = "suspended" if suspended else "active"
    print(f"{organization} is {state}{'' if is_changed else ', as it was'}.")
    return code
