"""The shapes of what was used and what it cost."""

import datetime
from typing import Self
from uuid import UUID

from api.fields import Amount, Answer, amount
from db import spending

CURRENCY = "USD"


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


def summary(found: spending.Summary) -> UsageSummary:
    """The head of the usage answer."""
    return UsageSummary.of(
        found, total_cost=amount(found.total_minor), total_cost_minor=found.total_minor, currency=CURRENCY,
        base_cost=amount(found.base_minor), usage_cost=amount(found.usage_minor),
        period=Period(start=found.first_day, end=found.last_day),
    )  # fmt: skip
