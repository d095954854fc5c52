"""Let a suspended organization in again: its keys and its people's log-ins work as before.

Keys that are suspended for an unpaid invoice stay so until it is paid.
"""

import argparse

from cli.organizations import add_organization, add_reason
from cli.suspend import change


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the organization and the reason."""
    add_organization(parser)
    add_reason(parser)


def run(args: argparse.Namespace) -> int:
    """Resume as app_worker."""
    return change(args, suspended=False)
