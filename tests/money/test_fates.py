"""What a dry run says of a month is what closing it then makes: one sum, one status, one reason."""

from datetime import UTC, date, datetime

import asyncpg
import pytest

from db import billing
from db.billing import Fate
from db.pool import Database
from db.types import SYSTEM, Plan
from tests.founding import Founded, found
from tests.money.test_closing import close
from tests.servers import Urls


async def told(database: Database, founded: Founded, month: date) -> Fate:
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        return await billing.fate(tenant, month)


@pytest.mark.parametrize(
    ("year", "plan", "since", "status", "minor"),
    [
        (2050, "pro", 1, "pending", 5000), (2051, "free", 1, "paid", 0), (2052, "starter", 31, "carried", 32),
        (2053, "starter", 30, "pending", 65),
    ],
)  # fmt: skip
async def test_what_is_told_is_what_is_written(
    database: Database, year: int, plan: Plan, since: int, status: str, minor: int
) -> None:
    month = date(year, 1, 1)
    founded = await found(database, plan, datetime(year, 1, since, tzinfo=UTC))
    assert await told(database, founded, month) == Fate(minor, status, None)  # type: ignore[arg-type]
    cycle = await close(database, founded, month)
    assert cycle.status == ("paid" if status == "carried" else status)
    assert cycle.total_amount_minor == (0 if status == "carried" else minor)


async def test_what_will_be_held_back_is_told_with_its_reason(database: Database, urls: Urls) -> None:
    founded = await found(database, "starter", datetime(2054, 1, 1, tzinfo=UTC))
    await close(database, founded, date(2054, 1, 1))
    owner = await asyncpg.connect(urls.migrator)
    await owner.execute(
        "insert into billing.agreed_prices values ($1, 'starter', '2054-02-01', 200000, 1, 0, 1)",
        founded.organization_id,
    )
    await owner.close()
    fate = await told(database, founded, date(2054, 2, 1))
    assert (fate.total_minor, fate.status) == (200_000, "parked")
    await close(database, founded, date(2054, 2, 1))
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        remark = await tenant.conn.fetchval(
            "select remark from billing.billing_cycles where organization_id = $1 and status = 'parked'",
            founded.organization_id,
        )
    assert fate.reason == remark
    assert "ten times the highest" in remark


async def test_a_negative_total_is_absurd(database: Database) -> None:
    founded = await found(database, "starter", datetime(2055, 1, 1, tzinfo=UTC))
    absurdity = "select billing.absurdity($1, '2055-01-01', $2, 0)"
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        found_absurd = [await tenant.conn.fetchval(absurdity, founded.organization_id, total) for total in (-1, 0)]
    assert found_absurd == ["the total is negative", None]
