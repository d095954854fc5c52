"""How pages write numbers, amounts, times and devices."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from db.types import Money
from jobs.invoices import PROVIDERS, STATES
from jobs.providers.mail_words import count, day, device, money


def cents(minor: int, currency: str = "USD") -> str:
    """Minor units as an amount: `$1,060.00`."""
    return money(Money(minor, currency))


def dollars(value: Decimal) -> str:
    """An amount in major units: `$1,060.00`."""
    return cents(int(value.scaleb(2)))


def date_of(when: date) -> Markup:
    """A day with its machine-readable form."""
    at = when.astimezone(UTC).date() if isinstance(when, datetime) else when
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), day(at))


def time_of(when: datetime) -> Markup:
    """A moment, in UTC; the page's script turns it into the reader's own time."""
    at = when.astimezone(UTC)
    return Markup('<time datetime="{:%Y-%m-%dT%H:%M:%SZ}" data-moment>{}, {:%H:%M} UTC</time>').format(at, day(at), at)


def month_of(when: date) -> str:
    """`November 2026`."""
    at = when.astimezone(UTC) if isinstance(when, datetime) else when
    return day(at).split(" ", 1)[1]


def short_day(when: date) -> str:
    """`7 Dec`."""
    number, month, _ = day(when).split(" ")
    return f"{number} {month[:3]}"


def percent(rate: float) -> str:
    """`99.5%`, without zeros that say nothing."""
    return f"{rate:.2f}".rstrip("0").rstrip(".") + "%"


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 request`, `2,000 requests`."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def attributes(given: Mapping[str, Any]) -> Markup:
    """HTML attributes; one that is true has no value, one that is false or None is left out."""
    kept = [(name, value) for name, value in given.items() if value is not None and value is not False]
    return Markup(" ").join(Markup('{}="{}"').format(name, "" if value is True else value) for name, value in kept)


FILTERS: dict[str, Callable[..., Any]] = {
    "attributes": attributes, "cents": cents, "count": count, "date": date_of, "device": device, "dollars": dollars,
    "month": month_of, "percent": percent, "plural": plural, "provider": PROVIDERS.__getitem__,
    "short_day": short_day, "state": STATES.__getitem__, "time": time_of,
}  # fmt: skip
