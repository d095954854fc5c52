"""What isolation and the trail cost: ratios of the same work with and without them, in the same run."""

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from tests.servers import TestServers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LOAD = Path(__file__).with_name("load.sql")
# A tenant of ordinary size; number 1 holds half of all rows.
ORDINARY = UUID("01890000-0000-7000-8000-000000000007")
ENTER = sql.SQL("begin; set local app.current_org_id = {}").format(str(ORDINARY))
STATEMENTS: dict[str, LiteralString] = {
    "one message": "select * from messaging.messages where organization_id = %(o)s and id = %(m)s",
    "a page of messages": "select id, status, created_at from messaging.messages where organization_id = %(o)s "
    "order by id desc limit 20",
    "usage of a month": "select count(*), count(*) filter (where is_billable) from usage.usage_records "
    "where organization_id = %(o)s and billed_month = '2026-11-01'",
    "usage by day": "select occurred_at::date, count(*) from usage.usage_records "
    "where organization_id = %(o)s and occurred_at >= '2026-11-02' group by 1",
    "keys": "select * from tenancy.api_keys where organization_id = %(o)s",
}


@contextmanager
def loaded(servers: TestServers, name: str, *, organizations: int, rows: int, skewed: bool = True) -> Iterator[str]:
    """A database of that size, its statistics fresh."""
    with servers.database(name) as database:
        with psycopg.connect(servers.postgres.superuser_url(database), autocommit=True) as conn:
            values = {"organizations": organizations, "rows": rows, "skewed": skewed}
            psycopg.ClientCursor(conn).execute(LOAD.read_bytes(), values)
            conn.execute("vacuum analyze")
        yield database


@contextmanager
def copied(servers: TestServers, source: str, name: str, change: LiteralString) -> Iterator[str]:
    """A copy of a database with one thing changed."""
    copy = sql.SQL("create database {} template {} strategy file_copy")
    servers.execute(copy.format(sql.Identifier(name), sql.Identifier(source)))
    try:
        servers.execute(sql.SQL("grant connect on database {} to public").format(sql.Identifier(name)))
        servers.execute(change, name)
        yield name
    finally:
        servers.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


UNPROTECTED: LiteralString = (
    "do $$ declare t text; begin for t in select name from ops.tables where kind = 'tenant' "
    "loop execute format('alter table %s disable row level security', t); end loop; end $$"
)


def compare(servers: TestServers, one: str, other: str, statement: LiteralString, rounds: int = 300) -> float:
    """The time of a tenant transaction with this statement in `one` over that in `other`, taken in turns.

    The tenth percentile is what it takes when nothing else is in the way.
    """
    with ExitStack() as open_connections:
        conns = [
            open_connections.enter_context(psycopg.connect(servers.urls(database).api, autocommit=True))
            for database in (one, other)
        ]
        values = []
        for conn in conns:
            conn.execute(ENTER)
            message = conn.execute("select id from messaging.messages limit 1").fetchone()
            conn.execute("commit")
            values.append({"o": ORDINARY, "m": message[0] if message else ORDINARY})
        times: tuple[list[float], list[float]] = ([], [])
        for turn in range(rounds * 2):
            conn = conns[turn % 2]
            started = time.perf_counter()
            conn.execute(ENTER)
            conn.execute(statement, values[turn % 2], prepare=True).fetchall()
            conn.execute("commit")
            times[turn % 2].append(time.perf_counter() - started)
    return statistics.quantiles(times[0], n=10)[0] / statistics.quantiles(times[1], n=10)[0]


def report(capsys: pytest.CaptureFixture[str], title: str, ratios: dict[str, float]) -> float:
    """Print the ratios and give their median."""
    middle = statistics.median(ratios.values())
    with capsys.disabled():
        print(f"\n{title}: median ×{middle:.2f}  (" + ", ".join(f"{k} ×{v:.2f}" for k, v in ratios.items()) + ")")
    return middle


def test_row_security_costs_nothing_that_can_be_measured(
    servers: TestServers, worker_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A million rows, a thousand organizations, half of the rows in one. A call of a few microseconds is left."""
    with (
        loaded(servers, f"bench_a_{worker_name}", organizations=1000, rows=500_000) as secured,
        copied(servers, secured, f"bench_b_{worker_name}", UNPROTECTED) as unprotected,
    ):
        ratios = {name: compare(servers, secured, unprotected, text) for name, text in STATEMENTS.items()}
    assert report(capsys, "row security against none", ratios) <= 1.2


def test_a_thousand_times_more_organizations_cost_nothing(
    servers: TestServers, worker_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        loaded(servers, f"bench_c_{worker_name}", organizations=100_000, rows=500_000, skewed=False) as many,
        loaded(servers, f"bench_d_{worker_name}", organizations=100, rows=500, skewed=False) as few,
    ):
        ratios = {name: compare(servers, many, few, text) for name, text in STATEMENTS.items()}
    assert report(capsys, "100,000 organizations against 100", ratios) <= 1.2


def change_keys(url: str, times: int = 400) -> float:
    """Changes of a key a second, one transaction each."""
    with psycopg.connect(url) as conn:
        started = time.perf_counter()
        for number in range(times):
            conn.execute("select set_config('app.current_org_id', %s, true)", [str(ORDINARY)])
            conn.execute(
                "update tenancy.api_keys set name = %s where organization_id = %s", [f"Key {number}", ORDINARY]
            )
            conn.commit()
        return times / (time.perf_counter() - started)


def test_the_trail_costs_less_than_the_change_itself(
    servers: TestServers, worker_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        loaded(servers, f"bench_e_{worker_name}", organizations=100, rows=100) as audited,
        copied(servers, audited, f"bench_f_{worker_name}", "drop trigger write_event on tenancy.api_keys") as silent,
    ):
        rates = [(change_keys(servers.urls(audited).api), change_keys(servers.urls(silent).api)) for _ in range(3)]
    ratio = statistics.median(with_trail / without for with_trail, without in rates)
    with capsys.disabled():
        print(f"\nchanges a second with the trail: ×{ratio:.2f} of those without")
    assert ratio >= 0.4
