"""Months are UTC wherever the server and the database believe to be: edges of months, missed closes in order, days."""

import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from db import billing, plans, spending
from db.pool import Database
from db.types import SYSTEM
from tests.founding import found, new_key
from tests.money.compared import every
from tests.money.oracle import LIST_PRICES, History, Made, total_of
from tests.money.test_closing import close, differences, use
from tests.servers import Urls

ZONES = [
    ("Pacific/Kiritimati", "America/St_Johns"),
    ("America/St_Johns", "Pacific/Kiritimati"),
    ("UTC", "Asia/Kathmandu"),
]
YEARS = dict(zip(ZONES, (2051, 2053, 2055), strict=True))  # months close once for a database


@pytest.fixture(params=ZONES, ids="/".join)
async def elsewhere(
    request: pytest.FixtureRequest, urls: Urls, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Database, int]]:
    """A worker whose process and whose database live in other zones; and a year of its own."""
    process, server = request.param
    monkeypatch.setenv("TZ", process)
    time.tzset()
    name = sql.Identifier(database_name)
    with psycopg.connect(urls.superuser, autocommit=True) as conn:
        conn.execute(sql.SQL("alter database {} set timezone = {}").format(name, sql.Literal(server)))
    database = await Database.open(urls.worker, 8, "tests")
    async with database.resolver() as conn:
        assert await conn.fetchval("show timezone") == server
    yield database, YEARS[request.param]
    await database.close()
    monkeypatch.undo()
    time.tzset()
    with psycopg.connect(urls.superuser, autocommit=True) as conn:
        conn.execute(sql.SQL("alter database {} reset timezone").format(name))
    assert os.environ.get("TZ") != process or process == "UTC"


async def test_missed_closes_are_caught_up_in_order_with_every_edge_in_its_own_month(
    elsewhere: tuple[Database, int],
) -> None:
    database, year = elsewhere
    since = datetime(year, 1, 31, 23, 59, 59, 900_000, tzinfo=UTC)
    founded = await found(database, "starter", since)
    key = (await new_key(database, founded)).key.id
    made: list[Made] = []
    edges = [datetime(year, month, 1, tzinfo=UTC) for month in (2, 3, 4)]
    for edge in edges:
        for at, count in ((edge - timedelta(microseconds=1), 3), (edge, 5)):
            if at >= since:
                made.append(Made(at, count))
                await use(database, founded, key, at, "starter", count)
    change = datetime(year, 3, 31, 23, 30, tzinfo=UTC)
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        await plans.change(tenant, "pro", change)
    await close(database, founded, date(year, 5, 1))
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        cycles = await every(tenant)
        assert [(cycle.number, cycle.month.month) for cycle in cycles] == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]
        assert [cycle.total_requests for cycle in cycles] == [3, 8, 8, 5, 0]
        history = History([(since, "starter"), (change, "pro")], made, LIST_PRICES)
        totals = [sum(line.amount_minor for line in cycle.lines if line.kind != "carry") for cycle in cycles]
        assert totals == [total_of(history, cycle.month) for cycle in cycles]
        assert totals[2] == 1129, "the last day of March counts as pro"
        days = (await spending.between(tenant, date(year, 2, 1), date(year, 2, 28))).by_day
        assert [day.requests for day in days if day.requests] == [5, 3]
        assert [days[0].requests, days[-1].requests] == [5, 3]
    assert await differences(database, founded) == []


def test_the_month_that_is_over_is_utcs(elsewhere: tuple[Database, int]) -> None:
    new_year = datetime(2030, 1, 1, tzinfo=UTC)
    assert billing.last_month_over(new_year.astimezone(), timedelta()) == date(2029, 12, 1)
    assert billing.last_month_over(new_year - timedelta(seconds=1), timedelta()) == date(2029, 11, 1)
