"""What isolation and the trail cost: ratios of the same work with and without them, in the same run.

A million rows of a thousand organizations, half of them in one; then 100,000 organizations against 100. The hot
statements run as the product runs them: through db.pool, in a tenant transaction of three round trips (messages.send
and messages.show in one), prepared once and kept by asyncpg. Ends with 1 when a median is above its target.

Where the cost of row security comes from: each use of a table, and each partition that is opened, asks
app.current_org_id() once, in a one-time filter; both policies are one condition to the planner. The first call in a
transaction takes 10 µs of the server when one connection is alone, up to 19 when others have emptied its caches, and
each further one 3 to 6: 4.5 for a call of any plpgsql function, 2 for its pinned search_path, 3.5 to refuse what is no
organization, all of which the rules of tenancy ask for. By the processor's time alone, which other work moves less, it
is 4 µs for the first call and 2.7 for each further one, of which 0.7 are the call and its path. One expression,
translate or trim alone, bytes and a regular expression took as long or longer. A statement on one table takes 170 to
260 µs with its three round trips, so that one call is 2 to 6 % of it, and no shape of a statement changes that. The
median was ×1.045 to ×1.054 in four runs on a quiet machine, just at its target of 1.05, ×1.06 in a fifth, and up to
×1.10 beside other work.

What reads usage asks 2 times (a month), 4 (the last thirty days) or 7 (from a day on: to leave out months that begin
later there, the planner would guess so few rows that it leaves the index), the head of the dashboard 22 times, its list
of keys 35. Reads keep one plan for everybody (db/pool.py). To plan them at each call had taken more than half of their
time and hid the policies in it: the ratio of the dashboard is still what it was, and its time less than half, as is the
policies' part: 3.7 → 1.5 ms for the head, of it 390 → 160 µs; 7.0 → 2.7 ms for the keys, of it 800 → 270 µs.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import uvloop
from psycopg import sql

from db import messages
from db.messages import Caller, Draft
from db.pool import Database
from db.statements import load
from db.types import SYSTEM, ApiKeyId, MessageId, OrganizationId
from tests.servers import TestServers
from tests.sql.test_plans import NOW, contracts

FOLDER = Path(__file__).parent
LOADS = (FOLDER / "load.sql", FOLDER.parent / "sql" / "plans.sql")
TARGETS = {"row security against none": 1.05, "100,000 organizations against 100": 1.2, "a change with its trail": 2.5}
# A tenant of ordinary size; number 1 holds half of all rows.
ORDINARY = OrganizationId(UUID("01890000-0000-7000-8000-000000000007"))
CALLER = Caller(ORDINARY, ApiKeyId(ORDINARY), "bench", "127.0.0.1")
DRAFT = Draft(ApiKeyId(ORDINARY), "email", "a@example.com", "Hello")
HOT = (
    "messages.send", "messages.show", "messages.get", "messages.page", "keys.resolve", "keys.page", "keys.count_active",
    "sessions.seat", "idempotency.get", "usage.count_billable", "spending.summary", "spending.by_endpoint",
    "spending.by_api_key", "dashboard.stats", "dashboard.usage_graph", "dashboard.api_keys",
)  # fmt: skip
LOCKING = {"idempotency.get"}
IN_MANY = ("messages.get", "messages.page", "keys.page", "keys.count_active", "usage.count_billable")
WARM_UP = 20  # more than the five executions after which PostgreSQL decides whether to keep a plan


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


class Statement:
    """One statement on tenant tables in one database, run as the product runs it."""

    def __init__(self, database: Database, name: str, message_id: MessageId) -> None:
        self._database, self._name, self._message_id = database, name, message_id
        self._values = {each.name: each.values for each in contracts(ORDINARY)}.get(name, {})
        if name == "messages.get":
            self._values = {"id": message_id}

    async def seconds(self) -> float:
        """How long it takes now, its transaction included."""
        started = time.perf_counter()
        if self._name == "messages.send":
            await messages.send(self._database, CALLER, DRAFT, NOW)
        elif self._name == "messages.show":
            await messages.show(self._database, ORDINARY, self._message_id)
        else:
            await self._in_transaction()
        return time.perf_counter() - started

    async def _in_transaction(self) -> None:
        subject, _, name = self._name.partition(".")
        async with self._database.tenant(ORDINARY, SYSTEM, read_only=self._name not in LOCKING) as tenant:
            found = getattr(_queries(subject), name)(tenant.conn, organization_id=ORDINARY, **self._values)
            if hasattr(found, "__aiter__"):
                _ = [row async for row in found]
            else:
                await found


@cache
def _queries(subject: str) -> Any:
    return load(subject)


async def compare(one: str, other: str, names: tuple[str, ...], pairs: int = 400) -> dict[str, float]:
    """For each statement the time that it takes behind the first URL over that behind the second.

    Taken in turns, each pair in the other order; the median of the pairs' ratios is what noise moves least.
    """
    databases = [await Database.open(url, 1, "bench") for url in (one, other)]
    found = [await _a_message(database) for database in databases]
    ratios = {}
    for name in names:
        both = [Statement(database, name, each) for database, each in zip(databases, found, strict=True)]
        for _ in range(WARM_UP):
            _ = [await each.seconds() for each in both]
        ratios[name] = statistics.median([await _pair(both, turn % 2 == 1) for turn in range(pairs)])
    for database in databases:
        await database.close()
    return ratios


async def _pair(both: list[Statement], is_turned: bool) -> float:
    times = [await each.seconds() for each in (both[::-1] if is_turned else both)]
    return times[1] / times[0] if is_turned else times[0] / times[1]


async def _a_message(database: Database) -> MessageId:
    async with database.tenant(ORDINARY, SYSTEM, read_only=True) as tenant:
        wanted = "select id from messaging.messages where organization_id = $1 limit 1"
        return MessageId(await tenant.conn.fetchval(wanted, ORDINARY))


def row_security(servers: TestServers, rows: int) -> dict[str, float]:
    """Each statement against itself on a copy without policies."""
    with (
        loaded(servers, "bench_a", organizations=1000, rows=rows) as secured,
        copied(servers, secured, "bench_b", UNPROTECTED) as unprotected,
    ):
        return uvloop.run(compare(servers.urls(secured).api, servers.urls(unprotected).api, HOT))


def many_organizations(servers: TestServers, rows: int) -> dict[str, float]:
    """Each statement for an organization among 100,000 against one among 100, with as many rows each."""
    with (
        loaded(servers, "bench_c", organizations=100_000, rows=rows, skewed=False) as many,
        loaded(servers, "bench_d", organizations=100, rows=rows // 1000, skewed=False) as few,
    ):
        return uvloop.run(compare(servers.urls(many).api, servers.urls(few).api, IN_MANY))


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
