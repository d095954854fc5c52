"""What a month must cost, worked out a second time: day by day, request by request, with Decimal and no SQL."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal


@dataclass(frozen=True)
class Price:
    """Minor units a month, requests included, and minor units for each `per` requests over them."""

    base: int
    included: int | None
    overage: int
    per: int = 1


LIST_PRICES = {"free": Price(0, 1000, 0), "starter": Price(1000, 10_000, 1), "pro": Price(5000, None, 0)}


@dataclass(frozen=True)
class Made:
    """Requests made at one moment."""

    at: datetime
    count: int = 1


@dataclass(frozen=True)
class History:
    """The plans of an organization from when on, its prices, and what it did."""

    segments: Sequence[tuple[datetime, str]]
    made: Sequence[Made]
    prices: dict[str, Price]

    def plan_at(self, at: datetime) -> str | None:
        """The plan in force at a moment."""
        begun = [plan for since, plan in self.segments if since <= at]
        return begun[-1] if begun else None

    def plan_of_day(self, day: date) -> str | None:
        """The plan a day is billed on: the last one begun on it."""
        return self.plan_at(datetime(day.year, day.month, day.day, 23, 59, 59, 999_999, UTC))


def days_of(month: date) -> list[date]:
    """Every day of a month."""
    days = [month + timedelta(days=n) for n in range(31)]
    return [day for day in days if day.month == month.month]


def base_of(history: History, month: date) -> int:
    """Each day costs its part of its plan's base; the sum is rounded once, half up."""
    days = days_of(month)
    plans = [history.plan_of_day(day) for day in days]
    exact = sum((Decimal(history.prices[plan].base) for plan in plans if plan), Decimal(0)) / len(days)
    return whole(exact)


def overage_of(history: History, month: date) -> int:
    """Each request is rated by the plan in force when it was made, over the included requests of that plan's days."""
    days = days_of(month)
    held = Counter(plan for plan in map(history.plan_of_day, days) if plan)
    made: Counter[str] = Counter()
    for request in history.made:
        if (request.at.year, request.at.month) != (month.year, month.month):
            continue
        plan = history.plan_at(request.at)
        if plan is None or not held[plan]:
            plan = history.plan_of_day(request.at.date())
        if plan is not None:
            made[plan] += request.count
    return sum(_overage(history.prices[plan], count, held[plan], len(days)) for plan, count in made.items())


def total_of(history: History, month: date) -> int:
    """Base and overage of a month in minor units."""
    return base_of(history, month) + overage_of(history, month)


def whole(exact: Decimal) -> int:
    """Minor units, rounded half up."""
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def _overage(price: Price, made: int, days: int, of_days: int) -> int:
    if price.included is None or price.overage == 0:
        return 0
    exact = Decimal(price.included) * days / of_days
    included = int(exact) + (1 if exact != int(exact) else 0)
    return whole(Decimal(max(0, made - included)) * price.overage / price.per)
