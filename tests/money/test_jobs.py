"""What happens by itself: months close once for everybody, plans turn, reminders go out; and the command line."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from db import invoices, plans, previews, reconciliation, work
from db.credit_notes import credit
from db.invoices import Cycle
from db.types import SYSTEM, OrganizationId, Plan
from jobs import billing as closing
from jobs import dunning
from jobs import plans as turning
from settings import ROOT
from tests.founding import Founded, found
from tests.money.shop import Shop, shop

__all__ = ["shop"]


@pytest.fixture
def clock(shop: Shop) -> Iterator[Any]:
    """The product's clock, turned back to the present after the test."""
    before = shop.stack.clock.ahead
    yield shop.stack.clock
    shop.stack.clock.ahead = before


def turn_to(shop: Shop, moment: datetime) -> None:
    shop.stack.clock.ahead = moment - datetime.now(UTC)


async def founded(shop: Shop, plan: Plan, since: datetime) -> Founded:
    return await found(shop.worker.database, plan, since)


async def cycles(shop: Shop, organization_id: OrganizationId) -> list[Cycle]:
    async with shop.worker.database.tenant(organization_id, SYSTEM, read_only=True) as tenant:
        return list(reversed((await invoices.issued(tenant, 1, 100))[0]))


async def email_of(shop: Shop, organization_id: OrganizationId) -> str:
    async with shop.worker.database.tenant(organization_id, SYSTEM, read_only=True) as tenant:
        email: str = await tenant.conn.fetchval(
            "select email from tenancy.organizations where organization_id = $1", organization_id
        )
        return email


async def test_a_month_waits_for_its_grace_and_then_closes_for_everybody(shop: Shop, clock: Any) -> None:
    paying = await founded(shop, "pro", datetime(2029, 1, 1, tzinfo=UTC))
    free = await founded(shop, "free", datetime(2029, 1, 1, tzinfo=UTC))
    turn_to(shop, datetime(2029, 2, 1, 0, 5, tzinfo=UTC))
    await closing.close_months.run(shop.worker, 0)
    await shop.work()
    assert date(2029, 1, 1) not in {cycle.month for cycle in await cycles(shop, paying.organization_id)}
    turn_to(shop, datetime(2029, 2, 1, 0, 10, 30, tzinfo=UTC))
    for _ in range(2):
        await closing.close_months.run(shop.worker, 0)
        await shop.work()
    assert [cycle.status for cycle in await cycles(shop, paying.organization_id)] == ["pending"]
    assert [cycle.status for cycle in await cycles(shop, free.organization_id)] == ["paid"]
    mails = shop.stack.mails(await email_of(shop, paying.organization_id))
    assert [mail.subject.split(":")[0] for mail in mails] == ["Invoice INV-2029-000001"], "one mail"
    assert shop.stack.mails(await email_of(shop, free.organization_id)) == [], "nothing to pay, no mail"


async def test_a_worker_that_was_away_for_months_catches_up_in_order(shop: Shop, clock: Any) -> None:
    late = await founded(shop, "starter", datetime(2029, 2, 1, tzinfo=UTC))
    turn_to(shop, datetime(2029, 6, 17, tzinfo=UTC))
    await closing.close_months.run(shop.worker, 0)
    await shop.work()
    found_cycles = await cycles(shop, late.organization_id)
    assert [(cycle.month.month, cycle.number) for cycle in found_cycles] == [(2, 1), (3, 2), (4, 3), (5, 4)]


async def test_a_downgrade_comes_with_the_month_and_costs_accordingly_even_if_the_worker_is_late(
    shop: Shop, clock: Any
) -> None:
    turn_to(shop, datetime(2029, 7, 10, tzinfo=UTC))
    one = await founded(shop, "pro", datetime(2029, 7, 1, tzinfo=UTC))
    database = shop.worker.database
    async with database.tenant(one.organization_id, SYSTEM) as tenant:
        await plans.change(tenant, "free", shop.stack.clock.now())
    await turning.turn.run(shop.worker, 0)
    assert await plan_of(shop, one) == ("pro", "free")
    turn_to(shop, datetime(2029, 8, 14, tzinfo=UTC))
    await turning.turn.run(shop.worker, 0)
    assert await plan_of(shop, one) == ("free", None)
    assert one.organization_id not in [each async for each in work.waiting(database, "plan_change")]
    async with database.tenant(one.organization_id, SYSTEM, read_only=True) as tenant:
        assert (await previews.charge(tenant, date(2029, 7, 1))).total_amount_minor == 5000
        assert (await previews.charge(tenant, date(2029, 8, 1))).total_amount_minor == 0


async def plan_of(shop: Shop, one: Founded) -> tuple[Any, ...]:
    return shop.stack.rows(
        "select plan, pending_plan from tenancy.organizations where organization_id = %s", one.organization_id
    )[0]


async def test_reminders_go_out_on_day_1_7_and_14_once_each_and_stop_when_paid(shop: Shop, clock: Any) -> None:
    turn_to(shop, datetime(2029, 8, 20, tzinfo=UTC))
    one = await founded(shop, "pro", datetime(2029, 7, 1, tzinfo=UTC))
    await closing.close_until(shop.worker, date(2029, 7, 1))
    await closing.close_organization.run(shop.worker, one.organization_id)
    cycle = (await cycles(shop, one.organization_id))[0]
    email = await email_of(shop, one.organization_id)
    issued_at, seen = cycle.issued_at, []
    assert issued_at is not None
    for day in (13, 14, 15, 16, 20, 21, 22, 27, 28, 29, 40):
        turn_to(shop, issued_at + timedelta(days=day, minutes=1))
        for _ in range(2):
            await dunning.sweep.run(shop.worker, 0)
            await shop.work()
        reminders = [mail for mail in shop.stack.mails(email) if "verdue" in mail.subject]
        status = (await cycles(shop, one.organization_id))[0].status
        seen.append((day, status, len(reminders)))
    assert seen == [
        (13, "pending", 0), (14, "overdue", 0), (15, "overdue", 1), (16, "overdue", 1), (20, "overdue", 1),
        (21, "overdue", 2), (22, "overdue", 2), (27, "overdue", 2), (28, "overdue", 3), (29, "overdue", 3),
        (40, "overdue", 3),
    ]  # fmt: skip
    trail = shop.stack.rows(
        "select coalesce(after ->> 'reminded_days', after ->> 'status'), actor_kind from audit.events"
        " where organization_id = %s and table_name = 'billing.billing_cycles' and after ?| %s"
        " and operation = 'update' and (after ? 'reminded_days' or after ->> 'status' = 'overdue') order by position",
        one.organization_id, ["reminded_days", "status"],
    )  # fmt: skip
    assert trail == [(word, "job") for word in ("overdue", "1", "7", "14")], "each is a line in the trail"


async def test_a_credit_covers_an_invoice_and_ends_its_dunning(shop: Shop, clock: Any) -> None:
    turn_to(shop, datetime(2029, 9, 3, tzinfo=UTC))
    one = await founded(shop, "starter", datetime(2029, 8, 1, tzinfo=UTC))
    await closing.close_until(shop.worker, date(2029, 8, 1))
    await closing.close_organization.run(shop.worker, one.organization_id)
    cycle = (await cycles(shop, one.organization_id))[0]
    async with shop.worker.database.tenant(one.organization_id, SYSTEM) as tenant:
        now = shop.stack.clock.now()
        assert (await credit(tenant, cycle.id, cycle.total, "goodwill of support", now))[1] == "paid"
        assert await reconciliation.reconcile(tenant) == []
    await dunning.remind.run(shop.worker, one.organization_id)
    assert one.organization_id not in [each async for each in work.waiting(shop.worker.database, "dunning")]


def mts(shop: Shop, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator would, with the worker's settings in the environment."""
    given = shop.stack.worker_settings
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": shop.stack.urls.worker,
        "REDIS_URL": given.redis_url.get_secret_value(),
        "SMTP_URL": given.smtp_url.get_secret_value(),
        "JWT_SECRET": given.jwt_secret.get_secret_value(),
        "DATA_DIR": str(given.data_dir),
    }
    return subprocess.run(
        [sys.executable, "-m", "cli", "close-month", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


async def test_one_organization_s_trouble_is_reported_and_stops_nobody_else(shop: Shop) -> None:
    month = date(datetime.now(UTC).year, datetime.now(UTC).month, 1)
    one, other = [await founded(shop, "pro", datetime.combine(month, datetime.min.time(), UTC)) for _ in range(2)]
    with psycopg.connect(shop.stack.urls.superuser, autocommit=True) as conn:
        conn.execute(
            "create function public.break_down() returns trigger language plpgsql as"
            " $$ begin raise exception 'broken'; end $$"
        )
        conn.execute(
            sql.SQL(
                "create trigger break_down before insert on billing.billing_cycles for each row"
                " when (new.organization_id = {}) execute function public.break_down()"
            ).format(sql.Literal(one.organization_id))
        )
        told = mts(shop, f"{month:%Y-%m}", "--unfinished")
        conn.execute("drop function public.break_down() cascade")
    assert (told.returncode, "failed: 1" in told.stdout) == (1, True), told.stdout + told.stderr
    assert re.search(rf"{one.organization_id} .*broken", told.stdout)
    assert [bool(await cycles(shop, each.organization_id)) for each in (one, other)] == [False, True]
    assert mts(shop, f"{month:%Y-%m}", "--unfinished").returncode == 0
    written, expected = [[c.month for c in await cycles(shop, each.organization_id)] for each in (one, other)]
    assert written == expected


async def test_the_command_shows_closes_and_skips(shop: Shop) -> None:
    month = date(datetime.now(UTC).year, datetime.now(UTC).month, 1)
    text = f"{month:%Y-%m}"
    one = await founded(shop, "pro", datetime.combine(month, datetime.min.time(), UTC))
    shop.stack.rows("delete from usage.closed_months where month >= %s returning 1", month)
    refused = mts(shop, text)
    assert (refused.returncode, "--unfinished" in refused.stderr) == (2, True)
    assert mts(shop, "2026-13").returncode == 2
    assert mts(shop, "2999-01").returncode == 2
    shown = mts(shop, text, "--unfinished", "--dry-run")
    assert (shown.returncode, f"50.00 USD  {one.organization_id}  pending" in shown.stdout) == (0, True), (
        shown.stdout + shown.stderr
    )
    assert re.search(r"would make \d+ invoices?, [\d,.]+ USD to pay. Nothing was changed.", shown.stdout)
    assert await cycles(shop, one.organization_id) == []
    closed = mts(shop, text, "--unfinished")
    assert closed.returncode == 0, closed.stdout + closed.stderr
    assert [cycle.total_amount_minor for cycle in await cycles(shop, one.organization_id)] == [5000]
    again = mts(shop, text, "--unfinished")
    assert (again.returncode, "invoices written: 0" in again.stdout) == (0, True)
