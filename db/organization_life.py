"""What export, import and erasure of an organization have in common."""

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg


class LifeError(Exception):
    """It cannot be done; the text says why, and nothing was changed."""


@dataclass(frozen=True, slots=True)
class MigrationState:
    """Which schema a database has: a digest over its migrations' names and texts, and the last one's name."""

    sha256: str
    last: str


def migration_state(conn: psycopg.Connection[Any]) -> MigrationState:
    """The schema of the database behind `conn`."""
    applied = conn.execute("select migration_id, sha256 from migrations.checksums order by 1").fetchall()
    text = "\n".join(f"{name} {digest}" for name, digest in applied)
    return MigrationState(hashlib.sha256(text.encode()).hexdigest(), applied[-1][0] if applied else "none")


def enter(conn: psycopg.Connection[Any], organization_id: UUID) -> None:
    """Set the organization of the transaction that is open on `conn`."""
    conn.execute("select set_config('app.current_org_id', %s, true)", [str(organization_id)])


def columns(conn: psycopg.Connection[Any], table: str) -> list[str]:
    """The columns of a table that hold what was written, not what the database derives of it."""
    found = conn.execute(
        "select attname::text from pg_attribute where attrelid = %s::regclass and attnum > 0"
        " and not attisdropped and attgenerated = '' order by attnum",
        [table],
    ).fetchall()
    return [name for (name,) in found]


def shared_tables(conn: psycopg.Connection[Any]) -> list[str]:
    """What every organization stands on and none owns: prices, closed months, how far requests are summed."""
    found = conn.execute(
        "select t.name from ops.tables t where t.kind = 'global' and t.schema_name <> 'audit'"
        " and has_table_privilege('app_ro', t.table_id, 'select') and not exists"
        " (select from pg_attribute a where a.attrelid = t.table_id and a.attname = 'organization_id') order by t.name"
    ).fetchall()
    return [name for (name,) in found]
