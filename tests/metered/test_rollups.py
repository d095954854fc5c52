"""Roll-ups equal the records whatever comes late, twice or at the same moment; every figure reads both and agrees."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db import dashboard, rollups, spending, usage
from db.pool import Database
from db.types import SYSTEM, new_id
from db.usage import UsageRecord, UsageRecorder
from jobs import rollups as jobs
from jobs.resources import open_resources
from tests.founding import Founded, found, new_key
from tests.servers import Urls
from tests.stack import Stack, stack

__all__ = ["stack"]
from tests.metered.counting import BY_DAY, ENDPOINTS, EXPECTED, HOURS, START, founded, record, rows, start_over, worker

__all__ = ["founded", "worker"]

STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("record"),
            st.lists(
                st.tuples(
                    st.integers(0, HOURS * 60).map(lambda minute: minute / 60),
                    st.sampled_from((200, 201, 404, 401, 429, 503)),
                    st.integers(0, 1),
                    st.integers(0, 1),
                ),
                min_size=1,
                max_size=12,
            ),
        ),
        st.tuples(st.just("roll up"), st.integers(0, HOURS)),
        st.tuples(st.just("seal"), st.integers(0, HOURS)),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, first=st.integers(0, 7), days=st.integers(0, 7))
async def test_every_figure_equals_the_records_whatever_was_rolled_up(
    database: Database, worker: Database, urls: Urls, steps: list[tuple[str, Any]], first: int, days: int
) -> None:
    start_over(urls)
    founded = await found(database, "starter")
    keys = [(await new_key(database, founded)).key.id for _ in range(2)]
    recorder = UsageRecorder(database)
    for kind, what in steps:
        if kind == "record":
            entries = [record(founded, keys[key], hour, status, endpoint) for hour, status, endpoint, key in what]
            await asyncio.gather(*(recorder.record(entry) for entry in entries), recorder.record(entries[0]))
        elif kind == "seal":
            async with worker.resolver() as conn:
                await rollups.queries.seal_hours(conn, at_time=START + timedelta(hours=what))
        else:
            await rollups.roll_up(worker, START + timedelta(hours=what) + rollups.SETTLING)
        await _everything_agrees(database, urls, founded, START.date() + timedelta(days=first), days)


async def _everything_agrees(database: Database, urls: Urls, founded: Founded, first: date, days: int) -> None:
    last = first + timedelta(days=days)
    since, until = datetime.combine(first, datetime.min.time(), UTC), datetime.combine(last, datetime.min.time(), UTC)
    until += timedelta(days=1)
    whole = rows(urls, EXPECTED, founded.organization_id, since, until)[0]
    by_day = rows(urls, BY_DAY, founded.organization_id, since, until)
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        spent = await spending.between(tenant, first, last)
        assert await rollups.differences(tenant, START.date()) == []
        graph = await dashboard.usage_graph(tenant, START + timedelta(hours=HOURS))
        stats = await dashboard.stats(tenant, START + timedelta(hours=HOURS))
        keys = await dashboard.api_keys(tenant, START + timedelta(hours=HOURS))
    summary = spent.summary
    assert (summary.total_requests, summary.successful_requests, summary.billable_requests) == whole
    assert [(day.day, day.requests, day.success_count) for day in spent.by_day if day.requests] == by_day
    assert sum(use.requests for use in spent.by_endpoint) == sum(use.requests for use in spent.by_api_key) == whole[0]
    in_all = rows(urls, EXPECTED, founded.organization_id, START, START + timedelta(days=9))[0]
    assert (stats.total_requests_30d, stats.successful_requests_30d) == in_all[:2]
    assert sum(day.requests for day in graph) == sum(key.requests_30d for key in keys) == in_all[0]
    billed = sum([await usage.count_month(database, founded.organization_id, f"2026-{n}") for n in (10, 11)])
    assert billed == in_all[2]
    charged = "select sum(made) from billing.rated(%s, '2026-10-01'), set_config('app.current_org_id', %s, false)"
    october = (
        "select count(*) from usage.usage_records"
        " where organization_id = %s and billed_month = '2026-10-01' and is_billable"
    )
    organization = founded.organization_id
    assert (rows(urls, charged, organization, str(organization))[0][0] or 0) == rows(urls, october, organization)[0][0]


async def test_records_written_while_hours_are_sealed_and_counted_are_counted_once(
    database: Database, worker: Database, urls: Urls, founded: Founded
) -> None:
    start_over(urls)
    key = (await new_key(database, founded)).key.id
    recorders = [UsageRecorder(database) for _ in range(4)]
    done = asyncio.Event()

    async def write(recorder: UsageRecorder, number: int) -> None:
        for at in range(60):
            batch = [record(founded, key, (number * 7 + at * 3 + extra) % 48 + 0.5) for extra in range(4)]
            await asyncio.gather(*(recorder.record(entry) for entry in batch))

    async def count() -> None:
        hour = 0
        while not done.is_set():
            hour = min(hour + 2, 48)
            await asyncio.gather(
                *(rollups.roll_up(worker, START + timedelta(hours=hour) + rollups.SETTLING) for _ in range(2))
            )

    counting = asyncio.create_task(count())
    await asyncio.gather(*(write(recorder, number) for number, recorder in enumerate(recorders)))
    done.set()
    await counting
    await rollups.roll_up(worker, START + timedelta(hours=50))
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        assert await rollups.differences(tenant, START.date()) == []
    sums = "select sum(requests)::int from usage.{}_usage where organization_id = %s"
    assert rows(urls, sums.format("daily"), founded.organization_id) == [(4 * 60 * 4,)]
    assert rows(urls, sums.format("hourly"), founded.organization_id) == [(4 * 60 * 4,)]


async def test_a_recorder_between_seal_and_count_is_waited_for(
    database: Database, worker: Database, urls: Urls, founded: Founded
) -> None:
    """The one interleaving that could lose a record: its transaction is open when its hour is sealed."""
    start_over(urls)
    key = (await new_key(database, founded)).key.id
    await UsageRecorder(database).record(record(founded, key, 0.2))
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        entry = record(founded, key, 0.5)
        await usage.queries.record(tenant.conn, **usage.columns([entry]))
        counting = asyncio.create_task(rollups.roll_up(worker, START + timedelta(hours=2)))
        await asyncio.sleep(0.2)
        assert not counting.done()
        mark = rows(urls, "select counted_until = '-infinity' from usage.rolled_up")
        assert mark == [(True,)]
    await counting
    assert rows(urls, "select sum(requests)::int from usage.daily_usage") == [(2,)]


async def test_a_difference_is_reported_and_not_corrected(
    database: Database, worker: Database, urls: Urls, founded: Founded
) -> None:
    start_over(urls)
    key = (await new_key(database, founded)).key.id
    await UsageRecorder(database).record(record(founded, key, 1.5))
    await rollups.roll_up(worker, START + timedelta(hours=3))
    rows(
        urls,
        "update usage.hourly_usage set requests = 5 where organization_id = %s returning 1",
        founded.organization_id,
    )
    for _ in range(2):
        async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
            found_out = await rollups.differences(tenant, START.date())
        assert [(each.rollup, each.recorded, each.rolled_up) for each in found_out] == [("hour", 1, 5)]


async def test_only_a_closed_and_counted_month_is_taken_out_and_its_figures_stay(
    database: Database, worker: Database, urls: Urls, founded: Founded
) -> None:
    start_over(urls)
    key = (await new_key(database, founded)).key.id
    await asyncio.gather(*(UsageRecorder(database).record(record(founded, key, hour)) for hour in range(90)))
    october = date(2026, 10, 1)
    with pytest.raises(RuntimeError, match="not closed and rolled up"):
        await rollups.detach(worker, october)
    rows(urls, "select usage.close_month(%s, now())", october)
    with pytest.raises(RuntimeError, match="not closed and rolled up"):
        await rollups.detach(worker, october)
    await rollups.roll_up(worker, START + timedelta(days=6))
    before = await usage.count_month(database, founded.organization_id, "2026-10")
    assert before > 0
    assert await rollups.detach(worker, october)
    assert not await rollups.detach(worker, october)
    assert await usage.count_month(database, founded.organization_id, "2026-10") == before
    left = rows(urls, "select count(*) from usage.usage_records where organization_id = %s", founded.organization_id)
    assert left == [(90 - before,)]
    assert rows(urls, "select rule, object, detail from ops.findings") == []


async def test_the_jobs_count_compare_and_keep_what_is_young(
    database: Database, urls: Urls, founded: Founded, stack: Stack
) -> None:
    start_over(urls)
    key = (await new_key(database, founded)).key.id
    young = UsageRecord(
        new_id(), founded.organization_id, key, "starter", ENDPOINTS[0], "POST", 200, 1, True,
        datetime.now(UTC) - timedelta(hours=2),
    )  # fmt: skip
    await UsageRecorder(database).record(young)
    async with open_resources(stack.worker_settings.model_copy(update={"usage_kept_months": 3})) as resources:
        await jobs.count.run(resources, 0)
        await jobs.count.run(resources, 0)
        with structlog.testing.capture_logs() as logs:
            await jobs.compare.run(resources, 0)
            await jobs.retire.run(resources, 0)
    assert rows(urls, "select sum(requests)::int from usage.daily_usage") == [(1,)]
    assert [log["event"] for log in logs if log["log_level"] in ("warning", "error")] == []
    assert rows(urls, "select count(*) from usage.usage_records") == [(1,)]


def test_only_months_older_than_those_kept_are_retired() -> None:
    assert jobs.months_before(date(2026, 11, 23), 3, 2) == [date(2026, 6, 1), date(2026, 7, 1)]
    assert jobs.months_before(date(2026, 2, 1), 3, 1) == [date(2025, 10, 1)]
