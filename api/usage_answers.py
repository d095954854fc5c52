"""What was used and what it cost: which days are asked for, and the shapes of the answer."""

import datetime
from calendar import monthrange
from typing import Self
from uuid import UUID

from pydantic import Field

from api.fields import Amount, Answer, Day, Query, amount
from db import spending
from db.pool import Tenant

CURRENCY = "USD"


class UsageQuery(Query):
    """Which UTC days, both included: the current month by default."""

    start_date: Day | None = Field(None, description="First day, YYYY-MM-DD")
    end_date: Day | None = Field(None, description="Last day, within a year of the first")


class Period(Answer):
    """Days, both included."""

    start: datetime.date
    end: datetime.date


class UsageSummary(Answer):
    """Requests made in a period and their cost: the base by the day, and requests over the included ones."""

    total_requests: int
    successful_requests: int
    failed_requests: int
    success_rate: float
    billable_requests: int
    total_cost: Amount
    total_cost_minor: int
    base_cost: Amount
    usage_cost: Amount
    currency: str
    period: Period


class Use(Answer):
    """Requests with their share of the usage's cost."""

    requests: int
    success_count: int
    error_count: int
    cost: Amount
    cost_minor: int


class EndpointUse(Use):
    """One endpoint."""

    endpoint: str
    method: str

    @classmethod
    def made(cls, use: spending.EndpointUse) -> Self:
        """The answer for a domain result."""
        return cls.of(use, cost=amount(use.cost_minor), error_count=use.requests - use.success_count)


class KeyUse(Use):
    """One API key, masked."""

    api_key_id: UUID
    name: str
    key: str

    @classmethod
    def made(cls, use: spending.KeyUse) -> Self:
        """The answer for a domain result."""
        return cls.of(use, key=use.masked, cost=amount(use.cost_minor), error_count=use.requests - use.success_count)


class UsageDay(Answer):
    """One UTC day; its cost is its share of the base and of the requests over the included ones."""

    date: datetime.date
    requests: int
    success_count: int
    error_count: int
    cost: Amount
    cost_minor: int

    @classmethod
    def made(cls, day: spending.DayUse) -> Self:
        """The answer for a domain result."""
        minor = day.base_minor + day.usage_minor
        return cls(
            date=day.day, requests=day.requests, success_count=day.success_count,
            error_count=day.requests - day.success_count, cost=amount(minor), cost_minor=minor,
        )  # fmt: skip


class UsageAnswer(Answer):
    """Usage of a period."""

    summary: UsageSummary
    by_endpoint: list[EndpointUse]
    by_api_key: list[KeyUse]
    daily_breakdown: list[UsageDay]


async def usage_in(tenant: Tenant, query: UsageQuery, now: datetime.datetime) -> UsageAnswer:
    """The answer for the days asked for. Raises Invalid."""
    first, last = days_asked(query, now.astimezone(datetime.UTC).date())
    found = await spending.between(tenant, first, last)
    return UsageAnswer(
        summary=_summary(found.summary),
        by_endpoint=[EndpointUse.made(use) for use in found.by_endpoint],
        by_api_key=[KeyUse.made(use) for use in found.by_api_key],
        daily_breakdown=[UsageDay.made(day) for day in found.by_day],
    )


def days_asked(query: UsageQuery, today: datetime.date) -> tuple[datetime.date, datetime.date]:
    """The days asked for: to the end of this month when no last one is said."""
    first = query.start_date or (query.end_date or today).replace(day=1)
    return first, query.end_date or _month_end(max(first, today))


def _month_end(day: datetime.date) -> datetime.date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def _summary(found: spending.Summary) -> UsageSummary:
    """The head of the usage answer."""
    return UsageSummary.of(
        found, total_cost=amount(found.total_minor), total_cost_minor=found.total_minor, currency=CURRENCY,
        base_cost=amount(found.base_minor), usage_cost=amount(found.usage_minor),
        period=Period(start=found.first_day, end=found.last_day),
    )  # fmt: skip
