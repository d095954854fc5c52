"""A preview is what the change then costs; an overage told apart sums to its line; taxes are lines of their own."""

import random
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest

from db import invoices, plans, previews
from db.errors import Conflict
from db.pool import Database
from db.types import SYSTEM, Plan
from tests.founding import found, new_key
from tests.money.books import Books
from tests.money.shop import Shop, shop
from tests.money.test_charge import at, conn, rolled_back
from tests.money.test_closing import close, differences, use
from tests.servers import Urls

__all__ = ["conn", "shop"]

PLANS: list[Plan] = ["free", "starter", "pro"]


@pytest.mark.parametrize("seed", range(12))
async def test_a_preview_is_what_the_month_then_costs(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    founded = await found(database, chance.choice(PLANS), at("2041-01-03"))
    key = (await new_key(database, founded)).key.id
    for day in range(4, 28, 6):
        now = datetime(2041, 1, day, chance.randrange(24), tzinfo=UTC)
        async with database.tenant(founded.organization_id, SYSTEM) as tenant:
            here: Plan = await tenant.conn.fetchval("select billing.plan_at($1, $2)", tenant.organization_id, now)
        await use(database, founded, key, now, here, chance.randint(0, 900))
        wanted = chance.choice(PLANS)
        async with database.tenant(founded.organization_id, SYSTEM) as tenant:
            try:
                supposed = await plans.preview(tenant, wanted, now)
            except Conflict:
                with pytest.raises(Conflict):
                    await plans.change(tenant, wanted, now)
                continue
            before = await previews.charge(tenant, date(2041, 1, 1))
            assert supposed.present.lines == before.lines, "a preview changes nothing"
            await plans.change(tenant, wanted, now)
            assert supposed.lines == (await previews.charge(tenant, date(2041, 1, 1))).lines


async def test_the_preview_over_http_is_refused_where_the_change_would_be(shop: Shop) -> None:
    customer = await shop.customer("starter")
    seen = (await customer.browser.get("/billing/upgrade-preview?plan=pro")).data
    assert (seen["plan"], seen["present_amount"], seen["amount_minor"] > seen["present_amount_minor"]) == (
        "pro",
        10,
        True,
    )
    later = (await customer.browser.get("/billing/upgrade-preview?plan=free")).data
    assert later["starts_at"].endswith("-01T00:00:00Z")
    assert later["amount_minor"] == later["present_amount_minor"]
    assert (await customer.browser.get("/billing/upgrade-preview?plan=starter")).code == "CONFLICT"
    assert (await customer.browser.get("/billing/upgrade-preview?plan=gold")).code == "VALIDATION_ERROR"
    assert (await customer.browser.get("/billing/upgrade-preview")).code == "VALIDATION_ERROR"


async def test_an_overage_is_told_apart_by_key_and_endpoint_to_the_cent(database: Database, urls: Urls) -> None:
    founded = await found(database, "starter", at("2041-03-01"))
    keys = [(await new_key(database, founded)).key.id for _ in range(3)]
    with psycopg.connect(urls.migrator) as conn:
        for number, key in enumerate(keys):
            conn.execute(
                "insert into usage.usage_records (organization_id, id, billed_month, api_key_id, endpoint, method,"
                " status_code, duration_us, plan, is_billable, occurred_at) select %s, gen_random_uuid(), '2041-03-01',"
                " %s, '/' || n %% 7, 'POST', 200, 1, 'starter', true, '2041-03-09Z' from generate_series(1, %s) n",
                [founded.organization_id, key, 3334 + 11 * number],
            )
    cycle = await close(database, founded, date(2041, 3, 1))
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        told = await invoices.with_shares(tenant, cycle)
    overage = next(line for line in told.lines if line.kind == "overage")
    assert overage.amount_minor == 35
    by_key, by_endpoint = overage.shares_of("api_key"), overage.shares_of("endpoint")
    assert (len(by_key), len(by_endpoint)) == (3, 7)
    assert sum(share.amount_minor for share in by_key) == sum(share.amount_minor for share in by_endpoint) == 35
    assert sum(share.requests for share in by_key) == sum(share.requests for share in by_endpoint) == 10_035
    assert [line.shares for line in told.lines if line.kind != "overage"] == [()] * (len(told.lines) - 1)


async def test_late_overages_are_told_apart_too(database: Database) -> None:
    founded = await found(database, "starter", at("2041-04-01"))
    key = (await new_key(database, founded)).key.id
    await close(database, founded, date(2041, 4, 1))
    for _ in range(11):
        await use(database, founded, key, at("2041-04-20"), "starter", 1000)
    late = await close(database, founded, date(2041, 5, 1))
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        told = await invoices.with_shares(tenant, late)
    shared = [(line.amount_minor, [s.amount_minor for s in line.shares]) for line in told.lines if line.shares]
    assert shared == [(1000, [1000, 1000])], "once by key, once by endpoint"


def test_a_tax_is_a_line_on_the_net_amount_and_none_by_default(conn: psycopg.Connection[Any]) -> None:
    with rolled_back(conn):
        books = Books(conn, at("2042-06-01"), "starter")
        for name, since, rate in (
            ("VAT", "2042-07-01", 75_000), ("Levy", "2042-07-01", 12_345), ("Levy", "2042-08-01", 0),
        ):  # fmt: skip
            books.execute(
                "insert into billing.tax_rates values (%s, %s, %s, %s)", books.organization_id, name, since, rate
            )
        assert [line["kind"] for line in books.charge(date(2042, 6, 1))] == ["base"]
        july = [(line["description"], line["amount_minor"]) for line in books.charge(date(2042, 7, 1))][1:]
        assert july == [("Levy 1.2345 %", 12), ("VAT 7.5 %", 75)]
        assert books.total(date(2042, 8, 1)) == 1075
        books.execute("select usage.close_month('2042-07-01', '2042-08-01Z')")
        with pytest.raises(psycopg.Error) as refused:
            books.execute("update billing.tax_rates set rate_ppm = 1 where organization_id = %s", books.organization_id)
        assert refused.value.sqlstate == "BIL01"


async def test_an_invoice_with_tax_reconciles(database: Database, urls: Urls) -> None:
    founded = await found(database, "pro", at("2041-09-01"))
    with psycopg.connect(urls.migrator) as owner:
        owner.execute(
            "insert into billing.tax_rates values (%s, 'VAT', '2041-09-01', 200000)", [founded.organization_id]
        )
    cycle = await close(database, founded, date(2041, 9, 1))
    assert [(line.kind, line.amount_minor) for line in cycle.lines] == [("base", 5000), ("tax", 1000)]
    assert cycle.total_amount_minor == 6000
    assert await differences(database, founded) == []


def test_more_requests_than_the_limit_lets_through_in_a_month_are_absurd(conn: psycopg.Connection[Any]) -> None:
    with rolled_back(conn):
        books = Books(conn, at("2042-01-01"), "free")

        def said(requests: int) -> Any:
            return books.rows(
                "select billing.absurdity(%s, '2042-02-01', 0, %s) as said", books.organization_id, requests
            )[0]["said"]

        most = 10 * 60 * 24 * 28
        assert said(most) is None
        assert "more than the rate limit lets through" in said(most + 1)
        books.execute(
            "update tenancy.organizations set rate_limit_override = 60 where organization_id = %s",
            books.organization_id,
        )
        assert said(most + 1) is None
        assert said(6 * most + 1) is not None


def test_a_remark_writes_amounts_as_money(conn: psycopg.Connection[Any]) -> None:
    with rolled_back(conn):
        books = Books(conn, at("2042-01-01"), "pro")
        books.close(date(2042, 1, 1))
        said = books.rows("select billing.absurdity(%s, '2042-02-01', 5000001, 1) as said", books.organization_id)
        assert said[0]["said"].endswith("the highest of the last six invoices (50.00 USD)")
        assert books.rows("select billing.money(123456, 'USD') as text")[0]["text"] == "1,234.56 USD"
