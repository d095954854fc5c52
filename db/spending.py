"""What was used and what it cost, by day, endpoint and key, for any range of days; costs sum to the whole exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from db.errors import Invalid
from db.pool import Tenant
from db.statements import load

queries = load("spending")

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2099, 12, 31)
LONGEST_RANGE = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Summary:
    """UTC days, both included; costs in minor units: the base by the day, and requests over the included ones."""

    first_day: date
    last_day: date
    total_requests: int
    successful_requests: int
    billable_requests: int
    base_minor: int
    usage_minor: int

    @property
    def failed_requests(self) -> int:
        """Requests answered with 400 or above."""
        return self.total_requests - self.successful_requests

    @property
    def success_rate(self) -> float:
        """Share of answers below 400 in percent with two decimals; 100 without any request."""
        if self.total_requests == 0:
            return 100.0
        return round(100 * self.successful_requests / self.total_requests, 2)

    @property
    def total_minor(self) -> int:
        """The whole cost."""
        return self.base_minor + self.usage_minor


@dataclass(frozen=True, slots=True)
class Used:
    """Requests of one endpoint or key, with its share of the usage's cost."""

    requests: int
    success_count: int
    cost_minor: int


@dataclass(frozen=True, slots=True)
class EndpointUse(Used):
    """One endpoint, by its template."""

    endpoint: str
    method: str


@dataclass(frozen=True, slots=True)
class KeyUse(Used):
    """One API key."""

    api_key_id: UUID
    name: str
    masked: str


@dataclass(frozen=True, slots=True)
class DayUse:
    """One UTC day; its costs are those of requests made on it."""

    day: date
    requests: int
    success_count: int
    base_minor: int
    usage_minor: int


@dataclass(frozen=True, slots=True)
class Spending:
    """Everything about a range of days."""

    summary: Summary
    by_endpoint: list[EndpointUse]
    by_api_key: list[KeyUse]
    by_day: list[DayUse]


async def between(tenant: Tenant, first_day: date, last_day: date) -> Spending:
    """Usage and cost of the UTC days from `first_day` to `last_day`, both included.

    Raises Invalid for days outside 2000–2099, a range that ends before it begins, or one of more than a year.
    """
    _refuse(first_day, last_day)
    span = _range(tenant, first_day, last_day)
    rows = queries.by_day(tenant.conn, first_day=first_day, last_day=last_day, **span)
    days = [DayUse(**row) async for row in rows]
    usage_minor = sum(day.usage_minor for day in days)
    endpoints = [dict(row) async for row in queries.by_endpoint(tenant.conn, **span)]
    keys = [dict(row) async for row in queries.by_api_key(tenant.conn, **span)]
    row = await queries.summary(tenant.conn, **span)
    base_minor = sum(day.base_minor for day in days)
    return Spending(
        Summary(first_day, last_day, **row, base_minor=base_minor, usage_minor=usage_minor),
        [EndpointUse(**use) for use in _with_cost(endpoints, usage_minor)],
        [_key_use(use) for use in _with_cost(keys, usage_minor)],
        days,
    )


def shares(total_minor: int, weights: Sequence[int]) -> list[int]:
    """Whole minor units in proportion to `weights` summing to `total_minor`: largest remainders get the odd units."""
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    found = [total_minor * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total_minor * weights[i] % whole), i))
    for index in by_remainder[: total_minor - sum(found)]:
        found[index] += 1
    return found


def _refuse(first_day: date, last_day: date) -> None:
    if not (FIRST_DAY <= last_day <= LAST_DAY):
        raise Invalid.field("end_date", "Must be a day from 2000 to 2099")
    if not (FIRST_DAY <= first_day <= LAST_DAY):
        raise Invalid.field("start_date", "Must be a day from 2000 to 2099")
    if last_day < first_day:
        raise Invalid.field("end_date", "Must not be before start_date")
    if last_day - first_day >= LONGEST_RANGE:
        raise Invalid.field("start_date", "Must be within a year of end_date")


def _range(tenant: Tenant, first_day: date, last_day: date) -> dict[str, Any]:
    return {
        "organization_id": tenant.organization_id,
        "first_month": first_day.replace(day=1),
        "since": datetime.combine(first_day, time(), UTC),
        "until": datetime.combine(last_day + timedelta(days=1), time(), UTC),
    }


def _with_cost(uses: list[dict[str, Any]], usage_minor: int) -> list[dict[str, Any]]:
    """Which request was one too many has no answer by key or endpoint: the cost is shared by billable requests."""
    costs = shares(usage_minor, [use.pop("billable") for use in uses])
    return [{**use, "cost_minor": cost} for use, cost in zip(uses, costs, strict=True)]


def _key_use(use: dict[str, Any]) -> KeyUse:
    masked = f"sk_{use.pop('mode')}_{use.pop('first4')}…{use.pop('last4')}"
    return KeyUse(**use, masked=masked)
