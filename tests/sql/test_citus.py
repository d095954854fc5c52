"""The rules of a distributed engine hold on every run, though none is needed: keys, actions and statements."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pglast import ast, parse_sql

from settings import ROOT
from tests.servers import Urls
from tests.sql.test_binding import Statement, statements

# Volatile, so their value would differ from node to node.
VOLATILE = {"random", "gen_random_uuid", "clock_timestamp", "nextval", "timeofday", "pg_sleep"}
CLOCKS = {"now", "current_timestamp", "transaction_timestamp", "statement_timestamp", *VOLATILE}


def nodes(node: Any, kind: type) -> Iterator[Any]:
    """Every node of a kind inside a statement."""
    if isinstance(node, kind):
        yield node
    if isinstance(node, tuple | list):
        for item in node:
            yield from nodes(item, kind)
    elif isinstance(node, ast.Node):
        for name in node:
            yield from nodes(getattr(node, name), kind)


def calls(node: Any) -> set[str]:
    """Names of the functions called in an expression."""
    named = {call.funcname[-1].sval for call in nodes(node, ast.FuncCall)}
    return named | ({"now"} if any(nodes(node, ast.SQLValueFunction)) else set())


def refused(sql: str, tenant_tables: set[str]) -> Iterator[str]:
    """What a distributed engine would not run."""
    tree = parse_sql(sql)
    if any(nodes(tree, ast.MergeStmt)):
        yield "merge"
    for update in nodes(tree, ast.UpdateStmt):
        if (
            f"{update.relation.schemaname}.{update.relation.relname}" in tenant_tables
            and calls(update.targetList) & VOLATILE
        ):
            yield "a volatile function in set"
    for conflict in nodes(tree, ast.OnConflictClause):
        if calls(conflict.targetList) & CLOCKS:
            yield "a clock in on conflict do update"
    for insert in nodes(tree, ast.InsertStmt):
        if f"{insert.relation.schemaname}.{insert.relation.relname}" in tenant_tables and "unnest" in calls(insert):
            yield "insert from unnest"


@pytest.fixture(scope="module")
def tenant_tables(urls: Urls) -> set[str]:
    """Names of the tenant tables of the catalog."""
    with psycopg.connect(urls.auditor) as conn:
        rows = conn.execute("select name from ops.tables where kind = 'tenant' and not is_partition").fetchall()
    return {row[0] for row in rows}


@pytest.mark.parametrize("statement", statements(), ids=lambda statement: statement.name)
def test_a_statement_could_run_on_a_cluster(statement: Statement, tenant_tables: set[str]) -> None:
    assert list(refused(statement.sql, tenant_tables)) == []


@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        ("update tenancy.users set id = gen_random_uuid()", "a volatile function in set"),
        ("insert into tenancy.users select from unnest($1::uuid[])", "insert from unnest"),
        ("insert into x values (1) on conflict (a) do update set b = now()", "a clock in on conflict do update"),
        ("merge into x using y on true when matched then delete", "merge"),
    ],
)
def test_the_lint_itself(sql: str, finding: str) -> None:
    assert list(refused(sql, {"tenancy.users"})) == [finding]


def test_an_audit_trigger_gets_its_tables_name(urls: Urls) -> None:
    """A shard's own name carries a number; the trail must show the table's."""
    with psycopg.connect(urls.auditor) as conn:
        triggers = conn.execute(
            "select t.name, encode(g.tgargs, 'escape') from pg_trigger g join ops.tables t on t.table_id = g.tgrelid "
            "where g.tgname = 'write_event' and g.tgparentid = 0"
        ).fetchall()
    assert triggers
    assert all(arguments.startswith(f"{name}\\000") for name, arguments in triggers)


def test_local_directories_and_tenant_tables_refer_to_each_other_by_value_alone(urls: Urls) -> None:
    with psycopg.connect(urls.auditor) as conn:
        crossing = conn.execute(
            "select k.conname from pg_constraint k join ops.tables a on a.table_id = k.conrelid "
            "join ops.tables b on b.table_id = k.confrelid "
            "where k.contype = 'f' and 'tenant' in (a.kind, b.kind) and a.kind <> b.kind"
        ).fetchall()
    assert crossing == []


def test_every_table_without_an_organization_is_decided_and_explained(urls: Urls) -> None:
    folder = ROOT / "sql" / "citus"
    references = set(re.findall(r"create_reference_table\('(.+?)'\)", (folder / "distribute.sql").read_text()))
    rows = re.findall(r"^\| (reference|local)\b.*?\| (.+?) \|", (folder / "README.md").read_text(), re.MULTILINE)
    explained = {kind: set(re.findall(r"`([a-z_]+\.[a-z_]+)`", names)) for kind, names in rows}
    with psycopg.connect(urls.auditor) as conn:
        found = {row[0] for row in conn.execute("select name from ops.tables where kind = 'global'")}
    assert references == explained["reference"]
    assert found == explained["reference"] | explained["local"]


def test_no_error_is_told_by_the_name_of_a_constraint() -> None:
    """Constraint names carry a shard's number there: errors are mapped by SQLSTATE."""
    naming = {file.name for file in (ROOT / "db").glob("*.py") if re.search(r"constraint_name", file.read_text())}
    assert naming == set()
