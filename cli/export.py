"""Write one organization into a file: all its rows, its people with their passwords' hashes, its keys' digests.

Made of pg_dump --enable-row-security as app_exporter, every table counted again in the same snapshot. What stays
behind: sessions, tokens, mails to people, waiting jobs. The file is secret (mode 0600): whoever has it has the
organization. For a move: `mts suspend` first, so that nothing is written after the export. The organization's trail
says who exported and why. DATABASE_URL must lead to PostgreSQL itself: a pooler would lose the context.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from cli.embedded.binaries import pg_dump
from cli.environment import database_url
from cli.errors import CommandError
from cli.organizations import add_organization, add_reason, operator, organization_id, reason, sentences
from db.archive import Manifest
from db.organization_export import export_organization


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the organization, the file and the reason."""
    add_organization(parser)
    add_reason(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: ORG-DATE.mts.zip in this folder")


def run(args: argparse.Namespace) -> int:
    """Export and print the rows by table."""
    organization, why = organization_id(args.organization), reason(args.reason)
    path = args.output or Path(f"{organization}-{datetime.now(UTC):%Y-%m-%d}.mts.zip")
    if path.exists():
        raise CommandError(f"{path} exists. Choose another name: --output FILE.", 2)
    with sentences():
        manifest = export_organization(
            database_url("app_exporter"), organization, path, pg_dump(), operator=operator(), reason=why
        )
    _print(manifest, path)
    return 0


def _print(manifest: Manifest, path: Path) -> None:
    print_counts(manifest.counts)
    for name in manifest.not_exported:
        print(f"not exported: {name}, which was detached and is its keeper's to store")
    print(f"{manifest.organization_name}: {sum(manifest.counts.values())} rows in {path}")
    print(f"audit chain: {manifest.chain_position} events, head {manifest.chain_hash}")


def print_counts(counts: dict[str, int]) -> None:
    """Tables that have rows, in order."""
    width = max(map(len, counts))
    for table_name, rows in sorted(counts.items()):
        if rows:
            print(f"  {table_name:<{width}}  {rows:>9}")
