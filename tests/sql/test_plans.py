"""The hot statements keep their plans on a million rows of a thousand organizations, half of the rows in one of them.

Each is run as its own role: the scans that its transaction counted name every index it went through, in functions
and triggers too; no table of any size is read from end to end. EXPLAIN then shows that row security was decided once
for the whole statement, outside every filter and index condition, which leaves the estimates alone, and that its plan,
the one that reads keep for everybody, opens no needless partition. `PLAN_ROWS` makes the tables smaller.
"""

import json
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import psycopg
import pytest
from psycopg.sql import Literal

from db.dashboard import Window
from db.pool import _begin
from db.statements import load
from db.types import SYSTEM, OrganizationId, new_id
from tests.servers import TestServers, Urls

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ROWS = int(os.environ.get("PLAN_ROWS", "500000"))  # in each of two tables
ORGANIZATIONS = 1000
LOADS = (Path(__file__).parents[1] / "bench" / "load.sql", Path(__file__).with_name("plans.sql"))
LARGE, ORDINARY = (UUID(f"01890000-0000-7000-8000-{number:012x}") for number in (1, 7))
NOW, TODAY, MONTH = datetime(2026, 11, 6, 18, tzinfo=UTC), date(2026, 11, 6), date(2026, 11, 1)
RECORDS = {"daily_usage_pkey", "usage_records_2026_11_organization_id_occurred_at_idx"}
FIRST_MONTH, LAST_MONTH, SINCE = date(2026, 10, 1), date(2026, 12, 1), datetime(2026, 10, 8, tzinfo=UTC)
RANGE = {"first_month": FIRST_MONTH, "since": SINCE, "until": NOW}
WINDOW = {"since": SINCE, **Window.ending(NOW).months}
# The months that the last thirty days can be billed in; every month from the first that is asked for on.
MONTHS = {"2026_10", "2026_11", "2026_12"}
FROM_THEN_ON = MONTHS | {"2027_01", "2027_02", "default"}


@dataclass(frozen=True)
class Contract:
    """A statement, whose role runs it, what it goes through, and the partitions that its plan may name."""

    name: str
    indexes: set[str]
    values: dict[str, Any] = field(default_factory=dict)
    role: str = "api"
    partitions: set[str] = field(default_factory=set)
    one_time: bool = True
    reads: bool = True


def _record(organization_id: UUID) -> dict[str, list[Any]]:
    return {
        "organization_ids": [organization_id], "ids": [new_id()], "api_key_ids": [organization_id], "endpoints": ["/x"],
        "methods": ["GET"], "status_codes": [200], "durations_us": [9], "plans": ["free"], "billables": [True],
        "occurred_ats": [NOW],
    }  # fmt: skip


def contracts(organization_id: UUID) -> list[Contract]:
    """What each hot statement promises; ids of seats and keys equal their organization's here."""
    key, message = {"id": organization_id}, {"id": UUID("01890000-0001-7000-8000-000000000002")}
    digests = [sha256(organization_id.bytes).digest(), bytes(32)]
    subject = {"subject_id": organization_id, "key_hash": bytes(32)}
    return [
        Contract("keys.find_all", {"api_key_directory_pkey"}, {"digests": digests}, one_time=False),
        Contract("keys.resolve", {"api_keys_pkey", "organizations_pkey", "organization_directory_pkey"},
                 {**key, "today": TODAY}),
        Contract("keys.page", {"api_keys_created_at_idx"}, {"limit": 20, "offset": 0}),
        Contract("keys.count_active", {"api_keys_created_at_idx"}, {"now": NOW}),
        Contract("sessions.seat", {"users_pkey", "sessions_pkey"},
                 {"session_id": organization_id, "user_id": organization_id, "now": NOW}),
        Contract("messages.create", {"api_keys_pkey", "work_directory_pkey"}, _draft(organization_id), one_time=False,
                 reads=False),
        Contract("messages.get", {"messages_pkey"}, message),
        Contract("messages.page", {"messages_pkey"},
                 {"before": UUID(int=2**128 - 1), "status": None, "type": None, "limit": 21}),
        Contract("messages.claim", {"messages_waiting_idx", "messages_pkey"}, {"now": NOW, "batch": 20}, "worker",
                 reads=False),
        Contract("messages.settle", {"messages_pkey"}, {**message, **_outcome()}, "worker", reads=False),
        Contract("idempotency.get", {"idempotency_keys_pkey"},
                 {**subject, "first_month": FIRST_MONTH, "last_month": LAST_MONTH}, partitions=MONTHS, reads=False),
        Contract("usage.record", {"api_keys_pkey"}, _record(organization_id), one_time=False, reads=False),
        Contract("usage.count_billable", RECORDS, {"month": MONTH}, partitions={"2026_11"}),
        Contract("spending.summary", RECORDS, RANGE, partitions=FROM_THEN_ON),
        Contract("spending.by_endpoint", RECORDS, RANGE, partitions=FROM_THEN_ON),
        Contract("spending.by_api_key", RECORDS, RANGE, partitions=FROM_THEN_ON),
        Contract("dashboard.stats", RECORDS | {"organizations_pkey"},
                 {"month": MONTH, "now": NOW, **WINDOW}, partitions=MONTHS),
        Contract("dashboard.usage_graph", RECORDS,
                 {"first_day": SINCE.date(), "last_day": TODAY, **WINDOW}, partitions=MONTHS),
        Contract("dashboard.api_keys", RECORDS,
                 {"month": MONTH, **WINDOW}, partitions=MONTHS),
    ]  # fmt: skip


def _draft(organization_id: UUID) -> dict[str, Any]:
    return {
        "id": new_id(), "api_key_id": organization_id, "type": "email", "recipient": "a@example.com", "subject": None,
        "body": "Hello", "metadata": "{}", "segments": 1, "is_test": False, "now": NOW,
    }  # fmt: skip


def _outcome() -> dict[str, Any]:
    names = ("provider", "provider_id", "segments", "error", "next_attempt_at")
    return {"status": "sent", "now": NOW, **dict.fromkeys(names)}


@dataclass
class Recorder:
    """Passes on what a statement sends, and keeps it."""

    conn: Any
    sql: str = ""
    values: tuple[Any, ...] = ()

    def __getattr__(self, name: str) -> Any:
        def send(sql: str, *values: Any) -> Any:
            self.sql, self.values = sql, values
            return getattr(self.conn, name)(sql, *values)

        return send


@pytest.fixture(scope="module")
def loaded(servers: TestServers, worker_name: str) -> Iterator[Urls]:
    """A database of that size, its statistics fresh."""
    with servers.database(f"plans_{worker_name}") as name:
        urls = servers.urls(name)
        with psycopg.connect(urls.superuser, autocommit=True) as conn:
            for file in LOADS:
                values = {"organizations": ORGANIZATIONS, "rows": ROWS, "skewed": True}
                psycopg.ClientCursor(conn).execute(file.read_bytes(), values if file.parent.name == "bench" else None)
            conn.execute("vacuum analyze")
        yield urls


@pytest.fixture(scope="module")
async def roles(loaded: Urls) -> AsyncIterator[dict[str, asyncpg.Connection]]:
    """A connection of each role that runs hot statements."""
    found = {"api": await asyncpg.connect(loaded.api), "worker": await asyncpg.connect(loaded.worker)}
    yield found
    for conn in found.values():
        await conn.close()


SCANS = """
select c.oid, c.relname::text as name, c.relkind::text as kind, pg_stat_get_xact_numscans(c.oid) as scans, c.reltuples
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('identity', 'tenancy', 'usage', 'messaging', 'billing') and c.relkind in ('r', 'i')
  and pg_stat_get_xact_numscans(c.oid) > 0
"""
NAMES = [contract.name for contract in contracts(ORDINARY)]


@pytest.mark.parametrize("organization_id", [ORDINARY, LARGE], ids=["ordinary", "half of all rows"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_hot_statement_keeps_its_plan(
    roles: dict[str, asyncpg.Connection], name: str, organization_id: UUID
) -> None:
    (contract,) = [each for each in contracts(organization_id) if each.name == name]
    conn = roles[contract.role]
    await conn.execute(_begin(OrganizationId(organization_id), SYSTEM, contract.reads, None, None))
    try:
        await conn.execute("set local max_parallel_workers_per_gather = 0")  # a helper's scans are counted elsewhere
        before = {row["oid"]: row["scans"] for row in await conn.fetch(SCANS)}  # former transactions' that still count
        recorder = await _run(conn, contract, organization_id)
        scans = [row for row in await conn.fetch(SCANS) if row["scans"] > before.get(row["oid"], 0)]
        await conn.execute(f"prepare shown as {recorder.sql}")
        values = ", ".join(Literal(value).as_string() for value in recorder.values)
        plan = json.loads(await conn.fetchval(f"explain (format json) execute shown({values})"))
        await conn.execute("deallocate shown")
    finally:
        await conn.execute("rollback")
    used = {row["name"] for row in scans if row["kind"] == "i"}
    assert contract.indexes <= used
    assert [row["name"] for row in scans if row["kind"] == "r" and row["reltuples"] > 100] == []
    nodes = list(_nodes(plan[0]["Plan"]))
    if contract.one_time:
        assert any("current_org_id" in node.get("One-Time Filter", "") for node in nodes), nodes
        held = [node.get("Filter", "") + node.get("Index Cond", "") for node in nodes]
        assert not any("current_org_id" in each for each in held), nodes
    partitions = {node["Relation Name"].removeprefix("usage_records_") for node in nodes
                  if node.get("Relation Name", "").startswith("usage_records_")}  # fmt: skip
    assert partitions <= contract.partitions


async def _run(conn: asyncpg.Connection, contract: Contract, organization_id: UUID) -> Recorder:
    """Run the statement as the product does."""
    subject, _, name = contract.name.partition(".")
    names_one = contract.name not in ("keys.find_all", "usage.record")
    recorder, call = Recorder(conn), getattr(load(subject), name)
    running = call(recorder, **({"organization_id": organization_id} if names_one else {}), **contract.values)
    if hasattr(running, "__aiter__"):
        _ = [row async for row in running]
    else:
        await running
    return recorder


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
