"""What the commands on one organization share: naming it, naming the operator, and telling every process."""

import argparse
import os
import platform
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg

from cli.errors import CommandError
from db.archive import ArchiveError
from db.errors import Unavailable
from db.limits import Limits
from db.organization_life import LifeError
from db.types import OrganizationId


def add_organization(parser: argparse.ArgumentParser) -> None:
    """Declare ORG."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("organization", metavar="ORG", help="the organization's id")


def add_reason(parser: argparse.ArgumentParser) -> None:
    """Declare --reason, which goes into the trail."""
    parser.add_argument("--reason", required=True, help="ticket or sentence, 4 to 500 characters, for the audit trail")


def organization_id(text: str) -> OrganizationId:
    """The id in `text`. Raises CommandError: anything else never reaches the database."""
    try:
        return OrganizationId(UUID(text))
    except ValueError:
        raise CommandError(f"{text!r} is no organization's id. Expected: a UUID.", 2) from None


def reason(text: str) -> str:
    """A reason that says something. Raises CommandError."""
    if not 4 <= len(text.strip()) <= 500:
        raise CommandError("--reason must have 4 to 500 characters: a ticket, or a sentence.", 2)
    return text.strip()


def operator() -> str:
    """Who runs this command, as the operating system knows him: `alice@host`, `alice as root@host` through sudo."""
    user = pwd.getpwuid(os.getuid()).pw_name
    behind = os.environ.get("SUDO_USER")
    return f"{behind} as {user}@{platform.node()}" if behind else f"{user}@{platform.node()}"


async def tell_everybody(limits: Limits, organization: OrganizationId) -> int:
    """Make every process look anew; 1, and a warning, when Redis could not be told."""
    await limits.bump(organization)
    try:
        await limits.ping()
    except Unavailable:
        print(
            "Warning: Redis does not answer here. A process that still reaches it may admit keys that it remembers "
            "for some seconds more; run the command again when Redis is back.",
            file=sys.stderr,
        )
        return 1
    return 0


@contextmanager
def sentences() -> Iterator[None]:
    """What went wrong, as a sentence for the person at the terminal."""
    try:
        yield
    except (LifeError, ArchiveError, OSError) as error:
        raise CommandError(str(error)) from error
    except psycopg.Error as error:
        raise CommandError(f"The database refuses: {str(error).strip() or type(error).__name__}") from error
