"""The dashboard's figures over HTTP."""

import datetime
from uuid import UUID

from api.fields import Amount, Answer, Timestamp, amount
from api.http import Permission, Router, UserCall
from db import dashboard

router = Router("/dashboard", tag="Dashboard")


class OrganizationHead(Answer):
    """Whose dashboard it is."""

    name: str
    plan: str
    keys_suspended_at: Timestamp | None


class Figures(Answer):
    """The head's figures."""

    total_requests_30d: int
    current_month_requests: int
    current_month_cost: Amount
    current_month_cost_minor: int
    currency: str
    success_rate: float
    active_api_keys: int
    total_api_keys: int


class StatsAnswer(Answer):
    """The head of the dashboard."""

    organization: OrganizationHead
    stats: Figures


class Period(Answer):
    """The days a figure speaks of, both included."""

    start: datetime.date
    end: datetime.date


class Day(Answer):
    """One day of the graph."""

    date: datetime.date
    requests: int
    success_count: int
    error_count: int


class Graph(Answer):
    """Thirty days of requests."""

    period: Period
    data: list[Day]


class KeyUsage(Answer):
    """A key and what it did."""

    id: UUID
    name: str
    key: str
    requests_30d: int
    cost_30d: Amount
    last_used: Timestamp | None
    status: str
    created_at: Timestamp


class KeyUsages(Answer):
    """Every key and what it did."""

    api_keys: list[KeyUsage]
    period: Period


@router.get("/stats", access=Permission.VIEW_DASHBOARD, replica=True)
async def stats(call: UserCall) -> StatsAnswer:
    """The head of the dashboard."""
    found = await dashboard.stats(call.tenant, call.now())
    return StatsAnswer(
        organization=OrganizationHead.of(found),
        stats=Figures.of(found, current_month_cost=amount(found.current_month_cost_minor), currency="USD"),
    )


@router.get("/usage-graph", access=Permission.VIEW_DASHBOARD, replica=True)
async def usage_graph(call: UserCall) -> Graph:
    """Requests of the last thirty days, day by day, days without any too."""
    days = await dashboard.usage_graph(call.tenant, call.now())
    return Graph(period=_period(call), data=[Day.of(day) for day in days])


@router.get("/api-keys", access=Permission.VIEW_DASHBOARD, replica=True)
async def api_keys(call: UserCall) -> KeyUsages:
    """Every key with its requests and cost of the last thirty days."""
    found = await dashboard.api_keys(call.tenant, call.now())
    listed = [
        KeyUsage.of(key, key=key.masked, cost_30d=amount(key.cost_30d_minor), last_used=key.last_used_at)
        for key in found
    ]
    return KeyUsages(api_keys=listed, period=_period(call))


def _period(call: UserCall) -> Period:
    window = dashboard.Window.ending(call.now())
    return Period(start=window.first_day, end=window.last_day)
