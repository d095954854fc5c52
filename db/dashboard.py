"""The figures of the dashboard, counted from the records and rated by billing.charge."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from uuid import UUID

from db.billing import last_billed, next_month
from db.pool import Tenant
from db.statements import load
from db.types import ApiKeyId, Plan

queries = load("dashboard")
DAYS = 30


@dataclass(frozen=True, slots=True)
class Window:
    """The last thirty UTC days, today included, and the months in which what was requested in them can be billed."""

    since: datetime
    first_day: date
    last_day: date
    since_month: date
    month: date
    last_month: date

    @property
    def months(self) -> dict[str, date]:
        """Every month from `since_month` to `last_month`, four at most: by name, so that others are never opened."""
        first, last = self.since_month, self.last_month
        second = min(next_month(first), last)
        third = min(next_month(second), last)
        return {"since_month": first, "second_month": second, "third_month": third, "last_month": last}

    @classmethod
    def ending(cls, now: datetime) -> "Window":
        """The window that ends with the day of `now`."""
        last = now.astimezone(UTC).date()
        first = last - timedelta(days=DAYS - 1)
        since = datetime.combine(first, time(), UTC)
        return cls(since, first, last, first.replace(day=1), last.replace(day=1), last_billed(now))


@dataclass(frozen=True, slots=True)
class Stats:
    """The head of the dashboard; `current_month_cost_minor` in cents, as the invoice would be now."""

    name: str
    plan: Plan
    total_requests_30d: int
    successful_requests_30d: int
    current_month_requests: int
    current_month_cost_minor: int
    active_api_keys: int
    total_api_keys: int
    keys_suspended_at: datetime | None

    @property
    def success_rate(self) -> float:
        """Share of answers below 400 in percent with two decimals; 100 without any request."""
        if self.total_requests_30d == 0:
            return 100.0
        return round(100 * self.successful_requests_30d / self.total_requests_30d, 2)


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day of the graph."""

    date: date
    requests: int
    success_count: int
    error_count: int


@dataclass(frozen=True, slots=True)
class KeyUsage:
    """A key and what it did in the last thirty days."""

    id: ApiKeyId
    name: str
    masked: str
    status: Literal["active", "expired", "revoked"]
    requests_30d: int
    cost_30d_minor: int
    last_used_at: datetime | None
    created_at: datetime


async def stats(tenant: Tenant, now: datetime) -> Stats:
    """The head of the dashboard."""
    window = Window.ending(now)
    row = await queries.stats(
        tenant.conn, organization_id=tenant.organization_id, since=window.since, month=window.month, now=now,
        **window.months,
    )  # fmt: skip
    return Stats(**dict(row))


async def usage_graph(tenant: Tenant, now: datetime) -> list[Day]:
    """Thirty days, oldest first, those without a request too."""
    window = Window.ending(now)
    rows = queries.usage_graph(
        tenant.conn, organization_id=tenant.organization_id, since=window.since,
        first_day=window.first_day, last_day=window.last_day, **window.months,
    )  # fmt: skip
    return [Day(**dict(row)) async for row in rows]


async def api_keys(tenant: Tenant, now: datetime) -> list[KeyUsage]:
    """Every key with its use, newest first."""
    window = Window.ending(now)
    rows = queries.api_keys(
        tenant.conn, organization_id=tenant.organization_id, since=window.since, month=window.month,
        **window.months,
    )  # fmt: skip
    return [_key_usage(row, now) async for row in rows]


def _key_usage(row: Any, now: datetime) -> KeyUsage:
    is_expired = row["expires_at"] is not None and row["expires_at"] <= now
    status: Literal["active", "expired", "revoked"] = (
        "revoked" if not row["is_active"] else "expired" if is_expired else "active"
    )
    key_id: UUID = row["id"]
    return KeyUsage(
        ApiKeyId(key_id), row["name"], f"sk_{row['mode']}_{row['first4']}…{row['last4']}", status, row["requests_30d"],
        row["cost_30d_minor"], row["last_used_at"], row["created_at"],
    )  # fmt: skip
