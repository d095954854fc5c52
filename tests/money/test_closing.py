"""Closing a month: one cycle and one number, however often and by however many at once; nothing is lost."""

import asyncio
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from db import billing, invoices, reconciliation
from db.billing import last_month_over
from db.pool import Database
from db.types import SYSTEM, ApiKeyId, Money, Plan, new_id
from db.usage import UsageRecord, UsageRecorder
from tests.founding import Founded, found, new_key
from tests.servers import Urls

DUE_DAYS = 14
ONE_MORE_LINE = """
insert into billing.billing_cycle_lines
select organization_id, id, 99, 'tax', plan, 'x', 1, 1, 1, 1 from billing.billing_cycles where organization_id = $1
"""


async def close(database: Database, founded: Founded, month: date, now: datetime | None = None) -> Any:
    """Close a month and write an organization's missing invoices up to it; the last one written."""
    at = now or datetime.combine(month + timedelta(days=32), datetime.min.time(), UTC)
    async with database.resolver() as conn:
        await billing.close_month(conn, month, at)
    return await write_missing(database, founded, at)


async def write_missing(database: Database, founded: Founded, at: datetime) -> Any:
    last = None
    while True:
        async with database.tenant(founded.organization_id, SYSTEM) as tenant:
            months = await billing.missing_months(tenant)
            if not months:
                return last
            last = await billing.close_cycle(tenant, months[0], at, DUE_DAYS) or last


async def use(database: Database, founded: Founded, key: ApiKeyId, at: datetime, plan: Plan, count: int = 1) -> None:
    recorder = UsageRecorder(database)
    await asyncio.gather(*(recorder.record(record(founded, key, at, plan)) for _ in range(count)))


def record(founded: Founded, key: ApiKeyId, at: datetime, plan: Plan) -> UsageRecord:
    return UsageRecord(new_id(), founded.organization_id, key, plan, "/x", "POST", 200, 1, True, at)


async def all_cycles(database: Database, founded: Founded) -> list[invoices.Cycle]:
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        return (await invoices.issued(tenant, 1, 100))[0]


async def differences(database: Database, founded: Founded) -> list[reconciliation.Difference]:
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        return await reconciliation.reconcile(tenant)


async def test_ten_closers_at_once_make_one_invoice_and_one_number(database: Database) -> None:
    founded = await found(database, "starter", datetime(2027, 1, 1, tzinfo=UTC))
    month, at = date(2027, 1, 1), datetime(2027, 2, 1, tzinfo=UTC)
    async with database.resolver() as conn:
        await billing.close_month(conn, month, at)

    async def once() -> invoices.Cycle | None:
        async with database.tenant(founded.organization_id, SYSTEM) as tenant:
            return await billing.close_cycle(tenant, month, at, DUE_DAYS)

    written = [cycle for cycle in await asyncio.gather(*(once() for _ in range(10))) if cycle]
    assert [(cycle.number, cycle.total_amount_minor, cycle.status) for cycle in written] == [(1, 1000, "pending")]
    assert [cycle.number for cycle in await all_cycles(database, founded)] == [1]


async def test_missed_months_are_caught_up_in_order_without_gaps(database: Database) -> None:
    founded = await found(database, "starter", datetime(2027, 3, 10, tzinfo=UTC))
    await close(database, founded, date(2027, 6, 1))
    cycles = await all_cycles(database, founded)
    assert [(cycle.month, cycle.number) for cycle in reversed(cycles)] == [
        (date(2027, 3, 1), 1), (date(2027, 4, 1), 2), (date(2027, 5, 1), 3), (date(2027, 6, 1), 4),
    ]  # fmt: skip
    assert cycles[-1].total_amount_minor == 710  # 22 of 31 days of $10
    assert await differences(database, founded) == []


async def test_a_month_out_of_turn_or_still_open_is_refused(database: Database) -> None:
    founded = await found(database, "starter", datetime(2027, 5, 1, tzinfo=UTC))
    for month in (date(2027, 6, 1), date(2029, 1, 1)):
        with pytest.raises(asyncpg.PostgresError) as refused:
            async with database.tenant(founded.organization_id, SYSTEM) as tenant:
                await billing.close_cycle(tenant, month, datetime(2029, 1, 1, tzinfo=UTC), DUE_DAYS)
        assert refused.value.sqlstate == "BIL03"


async def test_a_rolled_back_close_leaves_no_number_behind(database: Database) -> None:
    founded = await found(database, "starter", datetime(2027, 6, 1, tzinfo=UTC))
    with suppress(ZeroDivisionError):
        async with database.tenant(founded.organization_id, SYSTEM) as tenant:
            assert await billing.close_cycle(tenant, date(2027, 6, 1), datetime(2027, 7, 1, tzinfo=UTC), DUE_DAYS)
            raise ZeroDivisionError
    cycle = await write_missing(database, founded, datetime(2027, 7, 1, tzinfo=UTC))
    assert cycle.number == 1
    assert cycle.due_date == datetime(2027, 7, 15, tzinfo=UTC)


async def test_a_free_month_is_closed_as_paid_and_kept(database: Database) -> None:
    founded = await found(database, "free", datetime(2027, 6, 1, tzinfo=UTC))
    cycle = await close(database, founded, date(2027, 6, 1))
    assert (cycle.status, cycle.total, cycle.number_text) == ("paid", Money(0), "INV-2027-000001")


async def test_usage_while_the_month_closes_is_on_exactly_one_invoice(
    database: Database, api_database: Database
) -> None:
    month = date(2027, 8, 1)
    inside, after = datetime(2027, 8, 31, 23, 59, 59, tzinfo=UTC), datetime(2027, 9, 1, tzinfo=UTC)
    organizations = [await found(database, "pro", datetime(2027, 8, 1, tzinfo=UTC)) for _ in range(4)]
    keys = [(await new_key(database, founded)).key.id for founded in organizations]
    recorded = [0] * 4
    closed = asyncio.Event()

    async def writer(number: int) -> None:
        recorder = UsageRecorder(api_database)
        which = number % 4
        rounds = 0
        while not closed.is_set() or rounds < 20:
            await recorder.record(record(organizations[which], keys[which], inside, "pro"))
            recorded[which] += 1
            rounds += 1

    async def closer() -> None:
        await asyncio.sleep(0.2)
        async with database.resolver() as conn:
            await billing.close_month(conn, month, after)
        for founded in organizations:
            await write_missing(database, founded, after)
        closed.set()

    await asyncio.gather(closer(), *(writer(number) for number in range(24)))
    for which, founded in enumerate(organizations):
        await close(database, founded, date(2027, 9, 1))
        cycles = await all_cycles(database, founded)
        assert [cycle.month for cycle in cycles] == [date(2027, 9, 1), month]
        assert sum(cycle.total_requests for cycle in cycles) == recorded[which]
        assert cycles[0].total_requests > 0, "some came after the close"
        assert await differences(database, founded) == []


async def test_late_usage_is_a_line_of_its_own_rated_on_top_of_its_month(database: Database) -> None:
    founded = await found(database, "starter", datetime(2027, 10, 1, tzinfo=UTC))
    key = (await new_key(database, founded)).key.id
    made = datetime(2027, 10, 15, tzinfo=UTC)
    for _ in range(10):
        await use(database, founded, key, made, "starter", 990)
    october = await close(database, founded, date(2027, 10, 1))
    assert (october.total_requests, october.total_amount_minor) == (9_900, 1000)
    await use(database, founded, key, made, "starter", 300)
    november = await close(database, founded, date(2027, 11, 1))
    late = [(line.description, line.quantity, line.amount_minor) for line in november.lines if line.kind == "late"]
    assert late == [
        ("Late requests of October 2027, starter plan, included", 100, 0),
        ("Late requests of October 2027, starter plan, over the included 10,000", 200, 200),
    ]
    assert november.total_amount_minor == 1200
    assert await differences(database, founded) == []


async def test_an_amount_below_every_providers_minimum_is_carried_to_the_next_invoice(database: Database) -> None:
    founded = await found(database, "starter", datetime(2027, 11, 30, tzinfo=UTC))
    november = await close(database, founded, date(2027, 11, 1))
    assert (november.status, november.total_amount_minor) == ("paid", 0)
    assert [(line.kind, line.amount_minor) for line in november.lines] == [("base", 33), ("carry", -33)]
    december = await close(database, founded, date(2027, 12, 1))
    assert [(line.kind, line.amount_minor) for line in december.lines] == [("base", 1000), ("carry", 33)]
    assert (december.status, december.total_amount_minor) == ("pending", 1033)
    assert await differences(database, founded) == []


async def test_an_absurd_invoice_is_parked_and_can_be_released_or_voided(database: Database, urls: Urls) -> None:
    founded = await found(database, "starter", datetime(2028, 1, 1, tzinfo=UTC))
    key = (await new_key(database, founded)).key.id
    owner = await asyncpg.connect(urls.migrator)
    await owner.execute(
        "insert into usage.usage_records (organization_id, id, billed_month, api_key_id, endpoint, method, status_code,"
        " duration_us, plan, is_billable, occurred_at) select $1, gen_random_uuid(), m, $2, '/x', 'POST', 200, 1,"
        " 'starter', true, m + interval '5 days'"
        " from unnest(array['2028-02-01', '2028-03-01']::date[]) m, generate_series(1, 111000)",
        founded.organization_id, key,
    )  # fmt: skip
    await owner.close()
    await close(database, founded, date(2028, 3, 1))
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        february, march = await invoices.parked(tenant)
        assert (february.number, february.total_amount_minor) == (None, 102_000)
        assert "ten times the highest" in (february.remark or "")
        assert february.id not in {cycle.id for cycle in (await invoices.issued(tenant, 1, 9))[0]}
        at = datetime(2028, 4, 2, tzinfo=UTC)
        assert await billing.release(tenant, february.id, "customer confirmed", at, DUE_DAYS) == "pending"
        await billing.void(tenant, march.id, "a loop of ours")
        assert (await invoices.get(tenant, february.id)).number == 2
    assert await differences(database, founded) == []


async def test_an_issued_invoice_cannot_be_changed_by_anybody(database: Database, urls: Urls) -> None:
    founded = await found(database, "starter", datetime(2028, 4, 1, tzinfo=UTC))
    await close(database, founded, date(2028, 4, 1))
    owner = await asyncpg.connect(urls.superuser)
    attacks = [
        "update billing.billing_cycles set total_amount_minor = 1 where organization_id = $1",
        "update billing.billing_cycles set number = 7 where organization_id = $1",
        "delete from billing.billing_cycles where organization_id = $1",
        "update billing.billing_cycle_lines set amount_minor = 1 where organization_id = $1",
        "delete from billing.billing_cycle_lines where organization_id = $1",
        "update billing.movements set amount_minor = 1 where organization_id = $1",
        "delete from billing.movements where organization_id = $1",
        "update billing.plan_segments set plan = 'free' where organization_id = $1",
        ONE_MORE_LINE,
    ]
    for attack in attacks:
        with pytest.raises(asyncpg.PostgresError) as refused:
            await owner.execute(attack, founded.organization_id)
        assert refused.value.sqlstate == "BIL01", attack
    await owner.close()


def test_a_month_is_over_when_its_grace_has_passed() -> None:
    grace = timedelta(minutes=10)
    assert last_month_over(datetime(2028, 1, 1, 0, 9, 59, tzinfo=UTC), grace) == date(2027, 11, 1)
    assert last_month_over(datetime(2028, 1, 1, 0, 10, tzinfo=UTC), grace) == date(2027, 12, 1)
