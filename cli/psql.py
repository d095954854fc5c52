"""Open psql as one of the roles: api, worker, migrator, auditor, exporter or superuser; what follows goes to psql.

For example: mts psql auditor -c 'select * from ops.rls_coverage'
"""

import argparse
import os
from urllib.parse import unquote, urlsplit, urlunsplit

from cli.embedded.binaries import psql
from cli.environment import ROLES, database_url
from settings import ROOT

PASSES_ARGUMENTS = True
PSQLRC = ROOT / "sql" / "psql" / "psqlrc"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the role; everything unknown is psql's."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    short = [role.removeprefix("app_") for role in ROLES]
    parser.add_argument("role", type=_full_name, choices=ROLES, metavar="ROLE", help=", ".join(short))
    parser.add_argument("--url", action="store_true", help="print the connection URL (with its password) instead")


def run(args: argparse.Namespace) -> int:
    """Become psql, or print the URL."""
    url = database_url(args.role)
    if not args.url:
        _become_psql(url, args.rest)
    print(url)
    return 0


def _become_psql(url: str, arguments: list[str]) -> None:
    command = ["psql", f"--dbname={_without_password(url)}", *arguments]
    os.execve(psql(), command, _environment(url))


def _full_name(role: str) -> str:
    return next((known for known in ROLES if role in (known, known.removeprefix("app_"))), role)


def _environment(url: str) -> dict[str, str]:
    """The environment of psql: the password goes here, because everybody can read a command line."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG") or name == "PGOPTIONS"}
    password = unquote(urlsplit(url).password or "")
    rc = {"PSQLRC": str(PSQLRC)} if PSQLRC.exists() else {}
    return {**rc, **kept, "PGPASSWORD": password}


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}@{address}" if parts.username else address))
