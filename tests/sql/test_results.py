"""What db/ makes of a statement's rows fits them: the prepared columns against dataclasses and annotations."""

import importlib.util
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

from db.spending import EndpointUse, KeyUse
from tests.servers import Urls
from tests.sql.described import Column, describe
from tests.sql.fitting import STATEMENTS, Checker
from tests.sql.never_null import ALWAYS_THERE, NEVER_NULL, YES_OR_NO
from tests.sql.reading import read
from tests.sql.rows import Findings, Row, Unpacking

WITH_COST = {"cost_minor"}
# Rows that change on their way, in db/spending.py: what was taken out, what was put in.
ON_THE_WAY = (
    Unpacking("db.spending", Row("spending.by_endpoint", frozenset({"billable"})), EndpointUse, frozenset(WITH_COST)),
    Unpacking(
        "db.spending", Row("spending.by_api_key", frozenset({"billable", "mode", "first4", "last4"})), KeyUse,
        frozenset(WITH_COST | {"masked"}),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def columns(urls: Urls) -> dict[str, list[Column]]:
    """The columns of every statement."""
    with psycopg.connect(urls.superuser, autocommit=True) as conn:
        return {name: describe(conn, statement.sql) for name, statement in STATEMENTS.items()}


def all_of_db() -> Findings:
    """What is read of db/, and what changes on its way there."""
    findings = read()
    findings.unpackings.update(ON_THE_WAY)
    return findings


def test_every_row_fits_what_is_made_of_it(columns: dict[str, list[Column]]) -> None:
    complaints = sorted(Checker(columns).complaints(all_of_db()))
    assert not complaints, "\n".join(complaints)


def test_every_declaration_is_needed(columns: dict[str, list[Column]]) -> None:
    checker = Checker(columns)
    list(checker.complaints(all_of_db()))
    assert NEVER_NULL | {(statement, "") for statement in ALWAYS_THERE} == checker.needed


def test_every_statement_that_gives_something_is_followed(columns: dict[str, list[Column]]) -> None:
    found = all_of_db()
    followed = {each.value.statement for each in found.landings} | {each.row.statement for each in found.unpackings}
    followed |= {value.statement for _, value in found.reads}
    counting = {name for name, each in STATEMENTS.items() if each.operation.name == "INSERT_UPDATE_DELETE"}
    giving = {name for name, given in columns.items() if any(each.type != "void" for each in given)}
    assert giving - counting - followed == YES_OR_NO


SOURCE = """
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.statements import load
from db.types import OrganizationId

queries = load("plans")

@dataclass
class Planned:
    id: OrganizationId
    name: str
    plan: str
    pending_plan: str | None
    updated_at: datetime

async def changed(conn) -> Planned | None:
    row = await queries.change(conn)
    return Planned(**row) if row else None

async def waiting(conn) -> list[str]:
    row = await queries.lock(conn)
    if row is None:
        return []
    plan: str = row["plan"]
    return [plan, _spelled(row)]

def _spelled(row) -> str:
    return str(row["plan_now"])

async def has_overdue(conn) -> bool:
    found: bool = await queries.has_overdue(conn)
    return found
"""
# what is broken → (before, after, what is said)
BREAKS = {
    "a wrong type": ("    name: str", "    name: int", "gives text for name, which lands in <class 'int'>"),
    "a field that is missing": ("    name: str\n", "", "gives name, which Planned has no field for"),
    "a column that is missing": ("    name: str", "    name: str\n    note: str", "does not give note of Planned"),
    "a null": ("pending_plan: str | None", "pending_plan: str", "may give null for pending_plan"),
    "a type of one value": ('plan: str = row["plan"]', 'plan: int = row["plan"]', "gives text for plan"),
    "a null of one value": ('plan: str = row["plan"]', 'plan: str = row["pending_plan"]', "null for pending_plan"),
    "a column misspelt": ('row["plan_now"]', 'row["plan_then"]', "has no column plan_then"),
    "a first column": ("found: bool", "found: datetime", "gives boolean for"),
    "no row": ("    if row is None:\n        return []\n", "", "plans.lock may give no row, and nobody looks"),
}


@pytest.mark.parametrize("broken", [None, *BREAKS])
def test_a_mistake_is_noticed(columns: dict[str, list[Column]], tmp_path: Path, broken: str | None) -> None:
    before, after, said = BREAKS[broken] if broken else ("", "", "")
    assert before in SOURCE
    module = _module(tmp_path / "made_up.py", SOURCE.replace(before, after) if broken else SOURCE)
    checker = Checker(columns)
    complaints = list(checker.complaints(read([module])))
    assert len(complaints) == (1 if broken else 0), complaints
    assert all(said in each for each in complaints), complaints


def _module(path: Path, source: str) -> ModuleType:
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# statement → whether its one column may be null
NULLABLE = {
    "select u.email from tenancy.api_keys k join tenancy.users u on u.organization_id = k.organization_id": False,
    "select u.email from tenancy.api_keys k left join tenancy.users u on u.organization_id = k.organization_id": True,
    "select k.id from tenancy.api_keys k left join tenancy.users u on u.organization_id = k.organization_id": False,
    "select k.id from tenancy.api_keys k right join tenancy.users u on u.organization_id = k.organization_id": True,
    "with found as (select email from tenancy.users) select email from found": False,
    "select expires_at from tenancy.api_keys": True,
    "select email || '' from tenancy.users": True,
    "select (select email from tenancy.users)": True,
    "select count(*) from tenancy.users": False,
    "select sum(requests) from usage.daily_usage": True,
    "select coalesce(sum(requests), 0)::bigint from usage.daily_usage": False,
    "select exists (select from tenancy.users)": False,
    "update tenancy.users set email = 'x' returning removed_at": True,
    "delete from tenancy.users returning email": False,
}


@pytest.mark.parametrize("sql", NULLABLE)
def test_what_the_catalog_knows_of_nulls(urls: Urls, sql: str) -> None:
    with psycopg.connect(urls.superuser, autocommit=True) as conn:
        (column,) = describe(conn, sql)
    assert column.is_nullable == NULLABLE[sql]
