"""Bring the file of `mts export` into an empty installation of the same release, all of it in one transaction.

Counts and the audit chain are checked against the file; whatever differs takes all of it back. Refused when the
organization is here, when another one is, or when the migrations differ. Its people log in with the passwords they
have and its keys work; API_KEY_PEPPER, where it is set, must be the source's. A suspended organization stays so.
"""

import argparse
from pathlib import Path

from cli.environment import database_url
from cli.export import print_counts
from cli.organizations import add_reason, operator, reason, sentences
from db.organization_import import import_organization


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the file and the reason."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", type=Path, metavar="FILE", help="what `mts export` wrote")
    add_reason(parser)


def run(args: argparse.Namespace) -> int:
    """Import as app_migrator and print the rows by table."""
    why = reason(args.reason)
    with sentences():
        manifest = import_organization(database_url("app_migrator"), args.file, operator=operator(), reason=why)
    print_counts(manifest.counts)
    print(f"{manifest.organization_name} is here: {sum(manifest.counts.values())} rows, counted and equal.")
    print(f"audit chain: {manifest.chain_position} events, whole, head {manifest.chain_hash}")
    return 0
