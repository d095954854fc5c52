"""Every tenant table of the catalog is attacked in every way, as every role, and nothing gives way."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from tests.isolation.attacks import ATTACKS
from tests.isolation.catalog import Table, tenant_tables
from tests.isolation.planting import Row, plant
from tests.isolation.world import DENIED, World
from tests.servers import Urls

VICTIM, ATTACKER = uuid4(), uuid4()


@pytest.fixture(scope="module")
def planted(urls: Urls) -> tuple[list[Table], dict[str, Row], dict[str, Row]]:
    """A row in every tenant table for both organizations."""
    with psycopg.connect(urls.superuser) as conn:
        tables = tenant_tables(conn)
        planted = tables, plant(conn, tables, VICTIM), plant(conn, tables, ATTACKER)
        conn.execute("analyze")
        return planted


@pytest.fixture(params=["api", "worker", "auditor", "exporter"])
def world(
    request: pytest.FixtureRequest, urls: Urls, planted: tuple[list[Table], dict[str, Row], dict[str, Row]]
) -> Iterator[World]:
    """The two organizations, and a connection of the role that attacks."""
    # The exporter's sessions only read unless they say otherwise; what stops him must not be that.
    with psycopg.connect(getattr(urls, request.param), options="-c default_transaction_read_only=off") as conn:
        tables, victims, attackers = planted
        yield World(conn, tables, VICTIM, ATTACKER, victims, attackers)


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_table_gives_way(world: World, attack: str) -> None:
    failures = [f"{table.name}: {text}" for table in world.tables for text in ATTACKS[attack](world, table)]
    assert not failures, "\n".join(failures)


def test_the_fixture_covers_every_tenant_table(
    urls: Urls, planted: tuple[list[Table], dict[str, Row], dict[str, Row]]
) -> None:
    tables, victims, attackers = planted
    assert set(victims) == set(attackers) == {table.name for table in tables}
    with psycopg.connect(urls.auditor) as conn:
        found = conn.execute("select name from ops.tables where kind = 'tenant' and not is_partition").fetchall()
    assert {table.name for table in tables} == {row[0] for row in found}


def test_no_view_shows_the_victim(world: World) -> None:
    views = world.conn.execute(
        "select c.oid::regclass::text from pg_class c "
        "where c.relkind in ('v', 'm') and has_table_privilege(c.oid, 'select') "
        "and c.relnamespace::regnamespace::text in ('ops', 'usage', 'billing', 'tenancy', 'messaging', 'audit')"
    ).fetchall()
    world.conn.rollback()
    for (view,) in views:
        statement = psycopg.sql.SQL("select count(*) from {} v where v::text like %s").format(psycopg.sql.SQL(view))
        outcome = world.attempt(statement, [f"%{VICTIM}%"])
        assert outcome.is_harmless(DENIED, "ORG01"), f"{view}: {outcome}"


FUNCTIONS = """
select format('%I.%I', n.nspname, p.proname), array(select format_type(t, null) from unnest(p.proargtypes) t)
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname in ('tenancy', 'usage', 'billing', 'messaging', 'audit', 'ops')
  and has_function_privilege(p.oid, 'execute')
  and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype
"""


def test_no_function_shows_the_victim(world: World) -> None:
    functions = world.conn.execute(FUNCTIONS).fetchall()
    world.conn.rollback()
    assert functions
    secrets = {str(value) for row in world.victims.values() for value in row.values() if "planted" in str(value)}
    for name, types in functions:
        values = [str(VICTIM) if type_ == "uuid" else _argument(type_) for type_ in types]
        arguments = ", ".join(f"%s::{type_}" for type_ in types)
        call = f"select string_agg(f::text, ' ') from {name}({arguments}) f"
        outcome = world.attempt(psycopg.sql.SQL(call), values)
        shown = {secret for secret in secrets if secret in str(outcome.value)}
        assert not shown, f"{name} shows {shown}"


def _argument(type_: str) -> str | None:
    return {
        "date": "2026-11-01",
        "timestamp with time zone": "2026-11-15",
        "integer": "1",
        "text": "tenancy.users",
    }.get(type_)
