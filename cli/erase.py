"""Delete one organization for good: every row in every table, and the people who have a seat nowhere else.

First it is suspended, so that its sessions and keys end at once; then all of it goes in one transaction, in the order
of the catalog's foreign keys. What stays is a certificate (audit.certificates) with a hash of its id, the rows by
table, who, when, why, and how its audit trail ended. The law may want its issued invoices kept: --keep-invoices FILE
writes them into a file whose hash is in the certificate, --discard-invoices lets them go. Backups are not touched.
"""

import argparse
import asyncio
from pathlib import Path

from cli.environment import database_url, resolve
from cli.errors import CommandError
from cli.export import print_counts
from cli.organizations import add_organization, add_reason, operator, organization_id, reason, sentences, tell_everybody
from db import suspension
from db.organization_erasure import Subject, erase, look, rehearse
from db.types import SYSTEM, OrganizationId
from jobs import logs
from jobs.resources import open_resources
from settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the organization, the reason and the switches."""
    add_organization(parser)
    add_reason(parser)
    parser.add_argument("--dry-run", action="store_true", help="only print the rows that would go, by table")
    parser.add_argument("--confirm", metavar="NAME", help="the organization's name, to show that you mean this one")
    invoices = parser.add_mutually_exclusive_group()
    invoices.add_argument("--keep-invoices", type=Path, metavar="FILE", help="write issued invoices into FILE (0600)")
    invoices.add_argument("--discard-invoices", action="store_true", help="let issued invoices go too")


def run(args: argparse.Namespace) -> int:
    """Erase as app_migrator; 1 when Redis could not be told."""
    organization, why = organization_id(args.organization), reason(args.reason)
    url = database_url("app_migrator")
    with sentences():
        subject = look(url, organization)
        if args.dry_run:
            return _rehearse(url, organization, subject)
        _refuse(args, subject)
        settings = resolve("app_migrator")
        logs.configure("error")
        code = asyncio.run(_end_access(settings, organization, why))
        counts = erase(url, organization, operator=operator(), reason=why, invoices=args.keep_invoices)
    code = asyncio.run(_tell(settings, organization)) or code
    print_counts(counts)
    print(f"{organization} is erased: {sum(counts.values())} rows. Its certificate is in audit.certificates.")
    return code


def _rehearse(url: str, organization: OrganizationId, subject: Subject) -> int:
    counts = rehearse(url, organization)
    print_counts(counts)
    print(f"{subject.name}: {sum(counts.values())} rows would go, {subject.invoices} issued invoices among them.")
    print("Nothing was changed.")
    return 0


def _refuse(args: argparse.Namespace, subject: Subject) -> None:
    if args.confirm != subject.name:
        raise CommandError(f"To erase it, repeat its name: --confirm {subject.name!r}", 2)
    if subject.invoices and not args.keep_invoices and not args.discard_invoices:
        raise CommandError(
            f"{subject.invoices} invoices were issued to it, which the law may want kept for years. "
            "Say --keep-invoices FILE or --discard-invoices.",
            2,
        )
    if args.keep_invoices and args.keep_invoices.exists():
        raise CommandError(f"{args.keep_invoices} exists. Choose another name.", 2)


async def _end_access(settings: Settings, organization: OrganizationId, why: str) -> int:
    """In a transaction of its own: when the erasure fails, the organization is whole and suspended."""
    async with open_resources(settings) as resources:
        async with resources.database.tenant(organization, SYSTEM) as tenant:
            await suspension.suspend(tenant, operator=operator(), reason=f"erasure: {why}"[:500])
        return await tell_everybody(resources.limits, organization)


async def _tell(settings: Settings, organization: OrganizationId) -> int:
    async with open_resources(settings) as resources:
        return await tell_everybody(resources.limits, organization)
