"""Reads open the months that a request can be billed in and no other: one that was closed early hides nothing."""

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from db import dashboard, rollups, spending, usage
from db.billing import last_billed, next_month
from db.dashboard import DAYS, Window
from db.pool import Database
from db.types import SYSTEM
from db.usage import UsageRecorder
from tests.founding import Founded, new_key
from tests.metered.counting import START, founded, record, rows, start_over, worker
from tests.servers import Urls

__all__ = ["founded", "worker"]

EVERY_DAY = [datetime(2027, 1, 1, 12, tzinfo=UTC) + timedelta(days=number) for number in range(4 * 366)]


def test_a_window_names_every_month_that_its_requests_can_be_billed_in() -> None:
    for now in EVERY_DAY:
        window = Window.ending(now)
        made_in = {(now - timedelta(days=number)).date().replace(day=1) for number in range(DAYS)}
        assert set(window.months.values()) == made_in | {next_month(now.date())}


def test_the_next_month_has_begun_when_any_clock_says_so() -> None:
    assert last_billed(datetime(2026, 11, 30, 22, 59, tzinfo=UTC)) == date(2026, 12, 1)
    assert last_billed(datetime(2026, 11, 30, 23, 1, tzinfo=UTC)) == date(2027, 1, 1)


def test_no_month_is_closed_before_it_begins(urls: Urls) -> None:
    with pytest.raises(psycopg.Error, match="2026-12-01 has not begun") as refused:
        rows(urls, "select usage.close_month('2026-12-01', '2026-11-30T23:59:59Z')")
    assert refused.value.sqlstate == "USG03"
    assert rows(urls, "select * from usage.closed_months") == []


async def test_what_is_billed_in_the_next_month_because_this_one_was_closed_early_is_in_every_figure(
    database: Database, worker: Database, urls: Urls, founded: Founded
) -> None:
    start_over(urls)
    key, recorder = (await new_key(database, founded)).key.id, UsageRecorder(database)
    await recorder.record(record(founded, key, 1))
    rows(urls, "select usage.close_month('2026-10-01', %s)", START + timedelta(hours=2))
    await recorder.record(record(founded, key, 3))
    billed = "select billed_month from usage.usage_records order by occurred_at"
    assert rows(urls, billed) == [(date(2026, 10, 1),), (date(2026, 11, 1),)]
    now = START + timedelta(hours=4)
    await _both_are_counted(database, founded, now)
    await rollups.roll_up(worker, now)
    assert await usage.count_month(database, founded.organization_id, "2026-11") == 1
    await _both_are_counted(database, founded, now)


async def _both_are_counted(database: Database, founded: Founded, now: datetime) -> None:
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        assert (await dashboard.stats(tenant, now)).total_requests_30d == 2
        assert sum(day.requests for day in await dashboard.usage_graph(tenant, now)) == 2
        assert sum(key.requests_30d for key in await dashboard.api_keys(tenant, now)) == 2
        assert (await spending.between(tenant, now.date(), now.date())).summary.total_requests == 2
