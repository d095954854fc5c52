"""Records to roll up, and what the figures must be, counted from them alone."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from db.pool import Database
from db.types import new_id
from db.usage import UsageRecord
from tests.founding import Founded, found
from tests.servers import Urls
from tests.stack import stack

__all__ = ["stack"]


START = datetime(2026, 10, 28, tzinfo=UTC)
HOURS = 24 * 8
ENDPOINTS = ("/api/v1/messages/send", "/api/v1/messages/{message_id}")
EXPECTED = """
select count(*), count(*) filter (where status_code < 400), count(*) filter (where is_billable)
from usage.usage_records where organization_id = %s and occurred_at >= %s and occurred_at < %s
"""
BY_DAY = """
select (occurred_at at time zone 'utc')::date, count(*), count(*) filter (where status_code < 400)
from usage.usage_records where organization_id = %s and occurred_at >= %s and occurred_at < %s group by 1 order by 1
"""


@pytest.fixture(scope="module")
async def worker(urls: Urls) -> AsyncIterator[Database]:
    """The door of a worker, in a time zone that is none of ours."""
    opened = await Database.open(urls.worker + "?options=-c%20timezone%3DAsia%2FKolkata", 4, "tests")
    yield opened
    await opened.close()


@pytest.fixture
async def founded(database: Database) -> Founded:
    """A new organization."""
    return await found(database, "starter")


def rows(urls: Urls, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    """Ask Postgres as its superuser, around all row security."""
    with psycopg.connect(urls.superuser, autocommit=True) as conn:
        return conn.execute(statement.encode(), arguments).fetchall()


def start_over(urls: Urls) -> None:
    """As in a fresh installation: nothing is recorded, nothing rolled up."""
    with psycopg.connect(urls.superuser, autocommit=True) as conn:
        conn.execute("truncate usage.usage_records, usage.hourly_usage, usage.daily_usage")
        conn.execute("update usage.rolled_up set counted_until = '-infinity', sealed_until = '-infinity'")


def record(founded: Founded, key_id: Any, hour: float, status: int = 200, endpoint: int = 0) -> UsageRecord:
    return UsageRecord(
        new_id(), founded.organization_id, key_id, "starter", ENDPOINTS[endpoint], "POST", status, 1500, status < 429,
        START + timedelta(hours=hour),
    )  # fmt: skip
