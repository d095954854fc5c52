"""Each guard is broken once, and the check that stands for it notices: a check that cannot fail proves nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import LiteralString
from uuid import uuid4

import asyncpg
import psycopg
import pytest

from db import checks
from tests.isolation.attacks import ATTACKS
from tests.isolation.catalog import tenant_tables
from tests.isolation.manifest import live
from tests.isolation.mutations import MUTATIONS, OPENINGS
from tests.isolation.planting import plant
from tests.isolation.world import World
from tests.servers import TestServers, Urls


def noticed(conn: psycopg.Connection, mutation: LiteralString, rule: str) -> bool:
    """Break one thing in a transaction, ask the lint, and undo it."""
    try:
        conn.execute(mutation)
        return conn.execute("select count(*) from ops.findings where rule = %s", [rule]).fetchone() != (0,)
    finally:
        conn.rollback()


def test_the_lint_notices_every_mutation(urls: Urls, record_property: Callable[[str, object], None]) -> None:
    with psycopg.connect(urls.superuser) as conn:
        missed = [name for name, (mutation, rule) in MUTATIONS.items() if not noticed(conn, mutation, rule)]
        assert conn.execute("select count(*) from ops.findings").fetchone() == (0,)
    record_property("mutations", [len(MUTATIONS) - len(missed), len(MUTATIONS)])
    assert missed == []


@contextmanager
def opened(servers: TestServers, name: str, mutation: LiteralString) -> Iterator[World]:
    """Two organizations in a database of their own where something is broken, attacked as app_api."""
    with servers.database(name) as database:
        urls, victim, attacker = servers.urls(database), uuid4(), uuid4()
        with psycopg.connect(urls.superuser) as conn:
            tables = tenant_tables(conn)
            victims, attackers = plant(conn, tables, victim), plant(conn, tables, attacker)
            conn.execute(mutation)
            conn.execute("analyze")
        with psycopg.connect(urls.api) as conn:
            yield World(conn, tables, victim, attacker, victims, attackers)


@pytest.mark.parametrize("opening", OPENINGS)
def test_the_attack_gets_through_an_opening(servers: TestServers, worker_name: str, opening: str) -> None:
    mutation, attack = OPENINGS[opening]
    with opened(servers, f"opening_{worker_name}", mutation) as world:
        assert [text for table in world.tables for text in ATTACKS[attack](world, table)]


def test_a_stray_grant_is_noticed_by_the_manifest(servers: TestServers, worker_name: str) -> None:
    with servers.database(f"grant_{worker_name}") as database:
        urls = servers.urls(database)
        before = live(urls.auditor)
        servers.execute("grant delete on tenancy.api_keys to app_worker", database)
        assert live(urls.auditor) != before


def test_the_selftest_notices_an_opening(servers: TestServers, worker_name: str) -> None:
    with servers.database(f"selftest_{worker_name}") as database:
        servers.execute("alter table tenancy.users disable row level security", database)
        with psycopg.connect(servers.urls(database).auditor) as conn:
            held = conn.execute("select bool_and(held) from ops.isolation_selftest()").fetchone()
    assert held == (False,)


UNSAFE: dict[str, LiteralString] = {
    "row security": "alter table tenancy.users no force row level security",
    "context default": "do $$ begin execute format('alter database %I set app.x = 1', current_database()); end $$",
    "owner": "alter table tenancy.users owner to app_api",
}


@pytest.mark.parametrize("guard", UNSAFE)
async def test_a_process_refuses_to_start(servers: TestServers, worker_name: str, guard: str) -> None:
    with servers.database(f"unsafe_{worker_name}") as database:
        servers.execute(UNSAFE[guard], database)
        conn = await asyncpg.connect(servers.urls(database).api)
        try:
            with pytest.raises(checks.UnsafeRole):
                await checks.refuse_unsafe(conn)
        finally:
            await conn.close()
