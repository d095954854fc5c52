"""Every statement says which organization it means: each tenant table in sql/ is bound to organization_id by name."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pglast
import psycopg
import pytest

from db.statements import QUERIES, load
from tests.servers import Urls
from tests.sql.binding import unbound

EQUALITY = re.compile(r"(?:(?<=where )|(?<=and )|(?<=on ))(\w+\.)?organization_id = (\$\d+|\w+\.organization_id)")
ROW_VARIABLE = re.compile(r"^(\s+\w+) (?:\w+)\.\w+;$", re.MULTILINE)
# What may write across organizations, with the reason.
ACROSS = {
    "usage.record": "books the requests of many organizations in one statement",
    "audit.write_event": "writes the trail of whichever organization's row changed",
    "usage.add_late": "adds the records that one statement wrote to the sums of their own organizations",
    "usage.count_hours": "sums the records of every organization into rows of its own",
    "usage.detach_partition": "names no organization's rows: a month leaves the table",
}


@dataclass(frozen=True)
class Statement:
    name: str
    sql: str
    constants: frozenset[str] = frozenset()


def statements() -> list[Statement]:
    """Every named statement of sql/queries as it is sent."""
    found = []
    for file in sorted(QUERIES.glob("*.sql")):
        queries = load(file.stem)
        names = [name for name in queries.available_queries if not name.endswith("_cursor")]
        found += [Statement(f"{file.stem}.{name}", getattr(queries, name).sql) for name in names]
    return found


@pytest.fixture(scope="module")
def tenant_tables(urls: Urls) -> set[str]:
    """Names of the tenant tables of the catalog."""
    with psycopg.connect(urls.auditor) as conn:
        rows = conn.execute("select name from ops.tables where kind = 'tenant' and not is_partition").fetchall()
    return {row[0] for row in rows} | {"usage.counted"}  # a view over two of them, bound like a table


@pytest.mark.parametrize("statement", statements(), ids=lambda statement: statement.name)
def test_every_tenant_table_of_a_statement_is_bound(statement: Statement, tenant_tables: set[str]) -> None:
    assert unbound(statement.sql, tenant_tables) == []


def test_the_lint_notices_every_binding_that_is_taken_away(
    tenant_tables: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each equality is replaced by `true`; where the lint stays silent another one must say the same."""
    noticed, silent = 0, []
    for statement in statements():
        for equality in EQUALITY.finditer(statement.sql):
            broken = statement.sql[: equality.start()] + "true" + statement.sql[equality.end() :]
            if unbound(broken, tenant_tables):
                noticed += 1
            elif unbound(statement.sql, tenant_tables) == [] and unbound(
                EQUALITY.sub("true", statement.sql), tenant_tables
            ):
                silent.append(f"{statement.name}: {equality.group()}")
    with capsys.disabled():
        print(f"\nbindings taken away: {noticed} noticed, {len(silent)} where another one binds the same table")
    assert noticed > 50


FUNCTIONS = """
select format('%I.%I', n.nspname, p.proname) as name, l.lanname as language, p.prosrc as body,
       pg_get_functiondef(p.oid) as definition, coalesce(p.proargnames, '{}') as arguments, p.proname::text as short
from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
where n.nspname in ('tenancy', 'usage', 'billing', 'messaging', 'audit') and p.prokind = 'f'
  and l.lanname in ('sql', 'plpgsql')
"""


def function_statements(conn: psycopg.Connection) -> Iterator[Statement]:
    """Every statement inside a function of a tenant schema, with the names of its variables."""
    for name, language, body, definition, arguments, short in conn.execute(FUNCTIONS):
        if language == "sql":
            yield Statement(name, body, frozenset({*arguments, short}))
            continue
        parsed = json.dumps(pglast.parse_plpgsql(ROW_VARIABLE.sub(r"\1 record;", definition)))
        variables = set(re.findall(r'"refname": "(\w+)"', parsed)) | {*arguments, short, "new", "old"}
        for match in re.finditer(r'"query": ("(?:[^"\\]|\\.)*")', parsed):
            query = json.loads(match.group(1))
            if re.match(r"\s*(select|insert|update|delete|with)\b", query):
                yield Statement(name, query, frozenset(variables))


def test_every_tenant_table_inside_a_function_is_bound(urls: Urls, tenant_tables: set[str]) -> None:
    with psycopg.connect(urls.superuser) as conn:
        found = list(function_statements(conn))
    failures = [
        f"{statement.name}: {table} in {statement.sql.strip()[:120]}"
        for statement in found
        for table in unbound(statement.sql, tenant_tables, statement.constants)
        if statement.name not in ACROSS
    ]
    assert found
    assert not failures, "\n".join(failures)


CASES = {
    "select * from tenancy.users where organization_id = $1": [],
    "select * from tenancy.users": ["tenancy.users"],
    "select * from tenancy.users where organization_id = $1 or true": ["tenancy.users"],
    "select * from tenancy.users where organization_id <> $1": ["tenancy.users"],
    "select * from tenancy.users u join tenancy.api_keys k on k.created_by = u.id where u.organization_id = $1": [
        "tenancy.api_keys"
    ],
    "select * from tenancy.users u join tenancy.api_keys k on k.organization_id = u.organization_id "
    "where u.organization_id = $1": [],
    "select exists (select from tenancy.users where id = $1)": ["tenancy.users"],
    "with u as (select * from tenancy.users where organization_id = $1) select * from u": [],
    "with u as (select * from tenancy.users) select * from u where organization_id = $1": [],
    "with u as (select id from tenancy.users) select * from u": ["tenancy.users"],
    "insert into tenancy.users (organization_id, id) values ($1, $2)": [],
    "insert into tenancy.users (id) values ($2)": ["tenancy.users"],
    "insert into tenancy.users (organization_id, id) select organization_id, id from tenancy.api_keys": [
        "tenancy.users", "tenancy.api_keys",
    ],
    "update tenancy.users set role = $1 where id = $2": ["tenancy.users"],
    "delete from tenancy.users u using tenancy.api_keys k where (u.organization_id, u.id) = (k.organization_id, $2) "
    "and k.organization_id = $1": [],
    "select * from tenancy.users where organization_id = app.current_org_id()": [],
    "select * from tenancy.users where organization_id in (select organization_id from tenancy.api_keys)": [
        "tenancy.users", "tenancy.api_keys",
    ],
}  # fmt: skip


@pytest.mark.parametrize("sql", CASES)
def test_the_lint_itself(sql: str) -> None:
    assert unbound(sql, {"tenancy.users", "tenancy.api_keys"}) == CASES[sql]
