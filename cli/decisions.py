"""What an operator's decision about an invoice is given with: a reason, an amount, a key, and who decides."""

import argparse
import getpass
import re
from decimal import Decimal, InvalidOperation

from cli.errors import CommandError


def reason(args: argparse.Namespace) -> str:
    """The reason that was given. Raises CommandError when it is none."""
    given: str = args.reason.strip()
    if not 4 <= len(given) <= 500:
        raise CommandError("The reason must have 4 to 500 characters.", 2)
    return given


def signed(args: argparse.Namespace) -> str:
    """The reason with the operator's name, for a remark of ours that no document shows. Raises CommandError."""
    return f"{reason(args)} (by {operator()})"


def minor(text: str) -> int:
    """An amount in minor units. Raises CommandError when the text is none."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or not 0 < amount < 10**12 or amount != round(amount, 2):
        raise CommandError(f"{text!r} is no amount. Expected: more than 0 with at most two decimals, such as 12.50.", 2)
    return int(amount * 100)


def key(text: str) -> str:
    """What a repeated command is known by. Raises ArgumentTypeError."""
    if not re.fullmatch(r"[!-~]{1,64}", text):
        raise argparse.ArgumentTypeError("expected 1 to 64 visible characters without spaces")
    return text


def operator() -> str:
    """The operator's name in the system, as a plain word."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)[:40]
