"""What isolation and the trail cost: ratios of the same work with and without them, in the same run.

A million rows of a thousand organizations, half of them in one; then 100,000 organizations against 100.
Ends with 1 when a median is above its target.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from tests.servers import TestServers

FOLDER = Path(__file__).parent
LOADS = (FOLDER / "load.sql", FOLDER.parent / "sql" / "plans.sql")
TARGETS = {"row security against none": 1.05, "100,000 organizations against 100": 1.2, "a change with its trail": 2.5}
# A tenant of ordinary size; number 1 holds half of all rows.
ORDINARY = UUID("01890000-0000-7000-8000-000000000007")
ENTER = sql.SQL("begin; set local app.current_org_id = {}").format(str(ORDINARY))
# As sql/queries says them; usage is read from the roll-ups and the tail of the records.
STATEMENTS: dict[str, LiteralString] = {
    "one message": "select * from messaging.messages where organization_id = %(o)s and id = %(m)s",
    "a page of messages": "select id, status, created_at from messaging.messages where organization_id = %(o)s "
    "order by id desc limit 20",
    "keys": "select * from tenancy.api_keys where organization_id = %(o)s order by created_at desc, id desc limit 20",
    "usage of a month": "select coalesce(sum(billable), 0) from usage.counted "
    "where organization_id = %(o)s and billed_month = '2026-11-01'",
    "usage by day": "select day, sum(requests) from usage.counted where organization_id = %(o)s "
    "and billed_month >= '2026-10-01' and day >= '2026-10-08' group by day",
}


@contextmanager
def loaded(servers: TestServers, name: str, *, organizations: int, rows: int, skewed: bool = True) -> Iterator[str]:
    """A database of that size, its statistics fresh."""
    with servers.database(name) as database:
        with psycopg.connect(servers.postgres.superuser_url(database), autocommit=True) as conn:
            values = {"organizations": organizations, "rows": rows, "skewed": skewed}
            psycopg.ClientCursor(conn).execute(LOADS[0].read_bytes(), values)
            if skewed:
                conn.execute(LOADS[1].read_bytes())
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


def row_security(servers: TestServers, rows: int) -> dict[str, float]:
    """Each statement against itself on a copy without policies."""
    with (
        loaded(servers, "bench_a", organizations=1000, rows=rows) as secured,
        copied(servers, secured, "bench_b", UNPROTECTED) as unprotected,
    ):
        return {name: compare(servers, secured, unprotected, text) for name, text in STATEMENTS.items()}


def many_organizations(servers: TestServers, rows: int) -> dict[str, float]:
    """Each statement for an organization among 100,000 against one among 100, with as many rows each."""
    with (
        loaded(servers, "bench_c", organizations=100_000, rows=rows, skewed=False) as many,
        loaded(servers, "bench_d", organizations=100, rows=rows // 1000, skewed=False) as few,
    ):
        return {name: compare(servers, many, few, text) for name, text in STATEMENTS.items()}


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


def trail(servers: TestServers, rows: int) -> dict[str, float]:
    """The time of a change with its row in the trail against one without."""
    with (
        loaded(servers, "bench_e", organizations=100, rows=100, skewed=False) as audited,
        copied(servers, audited, "bench_f", "drop trigger write_event on tenancy.api_keys") as silent,
    ):
        urls = [servers.urls(database).api for database in (audited, silent)]
        return {f"round {number}": change_keys(urls[1]) / change_keys(urls[0]) for number in (1, 2, 3)}


MEASURES: dict[str, Callable[[TestServers, int], dict[str, float]]] = dict(
    zip(TARGETS, (row_security, many_organizations, trail), strict=True)
)


def main() -> int:
    """Measure everything and say what is above its target."""
    parser = argparse.ArgumentParser(prog="mts bench row-security", description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=500_000, help="rows in each of two tables (500,000)")
    rows, missed = parser.parse_args().rows, []
    servers = TestServers.begin()
    try:
        for title, measure in MEASURES.items():
            ratios = measure(servers, rows)
            middle = statistics.median(ratios.values())
            parts = ", ".join(f"{name} ×{value:.2f}" for name, value in ratios.items())
            print(f"{title}: median ×{middle:.2f}, target ×{TARGETS[title]:g}  ({parts})", flush=True)
            missed += [title] if middle > TARGETS[title] else []
    finally:
        servers.end()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
