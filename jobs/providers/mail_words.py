"""How mails write amounts, dates and numbers, and the sentences that depend on what happened."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from db.types import Money

SecurityEvent = Literal[
    "password_changed", "new_session", "role_changed", "new_owner", "removed_from_team", "key_reported"
]

_SIGNS = {"USD": "$", "NGN": "₦", "GHS": "GH₵", "KES": "KSh ", "ZAR": "R ", "EUR": "€", "GBP": "£"}
_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SecurityWords:
    """What a security notice says about one kind of event."""

    title: str
    sentence: str
    advice: str
    action: str


SECURITY: Mapping[SecurityEvent, SecurityWords] = {
    "password_changed": SecurityWords(
        "Your password was changed",
        "The password of your account was changed, and every other device was logged out.",
        "Was it you? Then all is well. If not, take your account back: choose a new password, then check your keys.",
        "Choose a new password",
    ),
    "new_session": SecurityWords(
        "New log-in to your account",
        "Someone logged in to your account from a device that we have not seen before.",
        "Was it you? Then all is well. If not, end that session and change your password.",
        "Check my sessions",
    ),
    "role_changed": SecurityWords(
        "Your role was changed",
        "Somebody changed what you may do in this organization.",
        "The new role holds from now on. If it looks like a mistake, ask the team's owner.",
        "See the team",
    ),
    "new_owner": SecurityWords(
        "Your organization has a new owner",
        "Somebody was made an owner. Owners may change the plan, the team and every role.",
        "Was it meant so? Then all is well. If not, look at the team and the audit trail at once.",
        "See the team",
    ),
    "removed_from_team": SecurityWords(
        "You were removed from a team",
        "Your seat in this organization was removed. You can no longer see its dashboard, keys and invoices.",
        "Your account and your other organizations are not touched. If it looks like a mistake, ask the team's owner.",
        "Go to my account",
    ),
    "key_reported": SecurityWords(
        "An API key was found in public and revoked",
        "Somebody sent us the whole value of one of your organization's API keys. It was revoked the moment it came.",
        "Make a new key where it was used, find out how it got out, and look at what was sent with it.",
        "See the keys",
    ),
}


def quota_consequence(is_used_up: bool, overage: Money | None, per: int = 1) -> str:
    """What happens to further requests; `overage` is the price of `per` of them, None where the quota is hard."""
    if overage is not None:
        start = "From now on each request costs" if is_used_up else "When they are used up, each further request costs"
        price = money(overage) if per == 1 else f"{money(overage)} per {count(per)}"
        return f"{start} {price}. Nothing is interrupted."
    if is_used_up:
        return "Further requests are refused until the month turns. A larger plan lets them through at once."
    return "When they are used up, requests are refused until the month turns. A larger plan takes effect at once."


def money(amount: Money) -> str:
    """`$1,060.00`, `₦15,000.00`, `−$5.00`; other currencies as `12.00 XOF`."""
    sign = "−" if amount.minor < 0 else ""
    figure = f"{abs(amount.decimal):,}"
    unit = _SIGNS.get(amount.currency)
    return f"{sign}{unit}{figure}" if unit else f"{sign}{figure} {amount.currency}"


def day(when: date) -> str:
    """`7 December 2026`; a moment is taken in UTC."""
    at = when.astimezone(UTC) if isinstance(when, datetime) else when
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"


def month(first_day: date) -> str:
    """`December 2026`."""
    return f"{_MONTHS[first_day.month - 1]} {first_day.year}"


def moment(when: datetime) -> str:
    """`7 December 2026, 16:41 UTC`."""
    return f"{day(when)}, {when.astimezone(UTC):%H:%M} UTC"


def count(number: int) -> str:
    """`15,000`."""
    return f"{number:,}"


def hours(number: int) -> str:
    """`1 hour`, `24 hours`."""
    return f"{number} hour{'' if number == 1 else 's'}"


def days(number: int) -> str:
    """`1 day`, `7 days`."""
    return f"{number} day{'' if number == 1 else 's'}"


def device(user_agent: str | None) -> str:
    """Browser and system that a device says it has: `Firefox on Linux`."""
    agent = user_agent or ""
    browser = next((name for mark, name in _BROWSERS if mark in agent), None)
    system = next((name for mark, name in _SYSTEMS if mark in agent), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or re.split(r"[/ ]", agent, maxsplit=1)[0][:40] or "Unknown device"


def article(noun: str) -> str:
    """`an admin`, `a member`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
