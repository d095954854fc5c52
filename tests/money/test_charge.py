"""billing.charge: every amount agrees with an independent oracle, line by line and cent by cent."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.spending import shares
from tests.money.books import Books
from tests.money.oracle import LIST_PRICES, Price, base_of, days_of, overage_of, total_of
from tests.servers import Urls

MONTHS = [date(2028, 2, 1), date(2027, 2, 1), date(2027, 12, 1), date(2028, 1, 1), date(2027, 4, 1)]
PRICES = st.builds(Price, st.integers(0, 9999), st.none() | st.integers(0, 40), st.integers(0, 7), st.integers(1, 5))


@pytest.fixture(scope="module")
def conn(urls: Urls) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(urls.migrator) as connection:
        yield connection


@contextmanager
def rolled_back(conn: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    try:
        yield conn
    finally:
        conn.rollback()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@st.composite
def histories(
    draw: st.DrawFn,
) -> tuple[date, datetime, str, dict[str, Price], list[tuple[datetime, str]], list[datetime]]:
    month = draw(st.sampled_from(MONTHS))
    start = datetime(month.year, month.month, 1, tzinfo=UTC)
    seconds = len(days_of(month)) * 86_400
    moments = st.integers(-40 * 86_400, seconds + 86_400).map(lambda s: start + timedelta(seconds=s))
    since, plan = draw(moments), draw(st.sampled_from(sorted(LIST_PRICES)))
    prices = draw(st.dictionaries(st.sampled_from(sorted(LIST_PRICES)), PRICES))
    changes = draw(st.lists(st.tuples(moments, st.sampled_from(sorted(LIST_PRICES))), max_size=4))
    made = draw(st.lists(st.integers(0, seconds - 1).map(lambda s: start + timedelta(seconds=s)), max_size=60))
    return (
        month,
        since,
        plan,
        prices,
        sorted(change for change in changes if change[0] > since),
        [moment for moment in made if moment >= since],
    )


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
def test_every_history_costs_what_the_oracle_says(conn: psycopg.Connection[Any], drawn: Any) -> None:
    month, since, plan, prices, changes, made = drawn
    with rolled_back(conn):
        books = Books(conn, since, plan)
        for name, price in prices.items():
            books.agree(name, price)
        for moment, wanted in changes:
            books.move(wanted, moment)
        for moment in made:
            books.use(moment)
        history = books.history(LIST_PRICES)
        lines = books.charge(month)
        assert sum(line["amount_minor"] for line in lines if line["kind"] == "base") == base_of(history, month)
        assert sum(line["amount_minor"] for line in lines if line["kind"] == "overage") == overage_of(history, month)
        assert sum(line["quantity"] for line in lines if line["kind"] in ("included", "overage")) == len(made)
        by_day = books.rows(
            "select sum(base_minor) as base, sum(usage_minor) as usage from billing.cost_by_day(%s, %s, %s)",
            books.organization_id, month, days_of(month)[-1],
        )[0]  # fmt: skip
        assert by_day == {"base": base_of(history, month), "usage": overage_of(history, month)}


def test_the_contract_example_fifteen_thousand_requests_on_starter_cost_sixty_dollars(
    conn: psycopg.Connection[Any],
) -> None:
    with rolled_back(conn):
        books = Books(conn, at("2027-01-01"), "starter")
        books.use(at("2027-04-10T12:00"), 15_000)
        books.use(at("2027-04-10T13:00"), 7, billable=False)
        assert [(line["kind"], line["quantity"], line["amount_minor"]) for line in books.charge(date(2027, 4, 1))] == [
            ("base", 30, 1000), ("included", 10_000, 0), ("overage", 5_000, 5_000),
        ]  # fmt: skip


def test_an_upgrade_in_a_leap_february_counts_the_day_of_change_as_new(conn: psycopg.Connection[Any]) -> None:
    with rolled_back(conn):
        books = Books(conn, at("2027-01-01"), "starter")
        books.move("pro", at("2028-02-15T10:00"))
        bases = [
            (line["plan"], line["quantity"], line["amount_minor"])
            for line in books.charge(date(2028, 2, 1))
            if line["kind"] == "base"
        ]
        assert bases == [("starter", 14, 483), ("pro", 15, 2586)]


def test_an_upgrade_on_the_last_evening_does_not_wipe_out_an_overage(conn: psycopg.Connection[Any]) -> None:
    with rolled_back(conn):
        books = Books(conn, at("2027-01-01"), "starter")
        books.use(at("2027-04-20T12:00"), 12_000)
        books.move("pro", at("2027-04-30T23:00"))
        books.use(at("2027-04-30T23:30"), 5_000)
        overage = next(line for line in books.charge(date(2027, 4, 1)) if line["kind"] == "overage")
        assert overage["quantity"] == 12_000 - 9_667  # ceil(10,000 × 29 / 30)


def test_a_last_day_upgrade_does_not_buy_a_whole_months_requests(conn: psycopg.Connection[Any]) -> None:
    with rolled_back(conn):
        books = Books(conn, at("2027-01-01"), "free")
        books.move("starter", at("2027-05-31T08:00"))
        books.use(at("2027-05-31T09:00"), 1_000)
        lines = books.charge(date(2027, 5, 1))
        assert next(line for line in lines if line["kind"] == "overage")["quantity"] == 1_000 - 323  # ceil(10,000 / 31)


def test_a_plan_left_on_the_first_day_rates_nothing(conn: psycopg.Connection[Any]) -> None:
    with rolled_back(conn):
        books = Books(conn, at("2027-01-01"), "starter")
        books.use(at("2027-04-01T08:00"), 300)
        books.move("pro", at("2027-04-01T09:00"))
        assert books.total(date(2027, 4, 1)) == 5000


def test_a_pending_downgrade_changes_nothing_before_its_month(conn: psycopg.Connection[Any]) -> None:
    with rolled_back(conn):
        books = Books(conn, at("2027-01-01"), "pro")
        books.plan_next("starter", at("2027-12-15"))
        assert books.total(date(2027, 12, 1)) == 5000
        assert books.total(date(2028, 1, 1)) == 1000


def test_a_downgrade_taken_back_never_happened(conn: psycopg.Connection[Any]) -> None:
    with rolled_back(conn):
        books = Books(conn, at("2027-01-01"), "pro")
        books.plan_next("starter", at("2027-12-15"))
        books.plan_next(None, at("2027-12-20"))
        assert books.total(date(2028, 1, 1)) == 5000


def test_months_are_half_open_and_in_utc(conn: psycopg.Connection[Any]) -> None:
    with rolled_back(conn):
        conn.execute("set local timezone = 'Pacific/Kiritimati'")
        books = Books(conn, at("2027-01-01"), "starter")
        books.agree("starter", Price(1000, 0, 1))
        books.use(at("2027-12-31T23:59:59.999999"))
        books.use(at("2028-01-01T00:00"))
        assert books.total(date(2027, 12, 1)) == books.total(date(2028, 1, 1)) == 1001


def test_a_price_per_thousand_is_rounded_once_a_line(conn: psycopg.Connection[Any]) -> None:
    with rolled_back(conn):
        books = Books(conn, at("2027-01-01"), "starter")
        books.agree("starter", Price(0, 0, 3, 1000))
        books.use(at("2027-04-02"), 1_499)
        assert books.total(date(2027, 4, 1)) == 4  # 4.497 cents


def test_a_price_of_a_closed_month_cannot_be_changed(conn: psycopg.Connection[Any]) -> None:
    with rolled_back(conn):
        books = Books(conn, at("2027-01-01"), "starter")
        books.close(date(2027, 1, 1))
        with pytest.raises(psycopg.DatabaseError) as refused:
            books.agree("starter", Price(1, 1, 1))
        assert refused.value.sqlstate == "BIL01"


def test_a_new_list_price_holds_for_the_months_that_begin_with_it_and_never_for_a_closed_one(
    conn: psycopg.Connection[Any],
) -> None:
    version = (
        "insert into billing.plans (plan, valid_from, base_minor, included, overage_minor, per_minute, max_api_keys,"
        " rank) values ('starter', %s, 2000, 5, 3, 60, 25, 2)"
    )
    with rolled_back(conn):
        books = Books(conn, at("2027-04-01"), "starter")
        for month in (4, 5, 6):
            books.use(at(f"2027-{month:02}-20"), 7)
        books.close(date(2027, 4, 1))
        before = books.charge(date(2027, 4, 1))
        books.execute(version, date(2027, 5, 15))
        assert books.charge(date(2027, 4, 1)) == before
        assert [books.total(date(2027, month, 1)) for month in (4, 5, 6)] == [1000, 1000, 2006]
        with pytest.raises(psycopg.DatabaseError) as refused:
            books.execute(version, date(2027, 4, 15))
        assert refused.value.sqlstate == "BIL01"


def test_the_oracle_knows_the_contract() -> None:
    from tests.money.oracle import History, Made

    history = History([(at("2027-01-01"), "starter")], [Made(at("2027-04-10"), 15_000)], LIST_PRICES)
    assert total_of(history, date(2027, 4, 1)) == 6000


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), max_size=8))
def test_shares_sum_to_the_whole(total: int, weights: list[int]) -> None:
    found = shares(total, weights)
    assert sum(found) == (total if sum(weights) else 0)
    assert all(
        abs(part - total * weight / sum(weights)) < 1
        for part, weight in zip(found, weights, strict=True)
        if sum(weights)
    )
