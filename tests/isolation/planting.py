"""Plants one row of every tenant table for an organization, from the catalog and the few values it cannot tell."""

import secrets
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Json

from tests.isolation.catalog import Column, Table

Row = dict[str, Any]

# What a CHECK over several columns wants. A new table whose row cannot be planted fails the suite: add its values here.
OVERRIDES: dict[str, Row] = {
    "tenancy.users": {"role": "owner"},
    "usage.usage_records": {"billed_month": date(2026, 11, 1)},
    "billing.billing_cycles": {
        "period_start": datetime(2026, 10, 1, tzinfo=UTC),
        "period_end": datetime(2026, 11, 1, tzinfo=UTC),
        "status": "pending",
        "number": 1,
        "issued_at": datetime(2026, 11, 1, tzinfo=UTC),
        "due_date": datetime(2026, 11, 15, tzinfo=UTC),
    },
    "billing.payments": {"status": "open"},
    "billing.movements": {"kind": "payment"},
    "billing.credit_notes": {"amount_minor": 900, "settled_minor": 600, "balance_minor": 300},
}
# Written by triggers, not by hand: planting the other tables fills them.
WRITTEN_BY_TRIGGERS = {"audit.events", "audit.chain_heads"}

VALUES: dict[str, Callable[[], Any]] = {
    "uuid": uuid4,
    "text": lambda: f"planted-{secrets.token_hex(6)}",
    "integer": lambda: secrets.randbelow(1_000_000) + 1,
    "bigint": lambda: secrets.randbelow(1_000_000) + 1,
    "boolean": lambda: False,
    "bytea": lambda: secrets.token_bytes(32),
    "timestamp with time zone": lambda: datetime.now(UTC) + timedelta(seconds=secrets.randbelow(1_000_000)),
    "date": lambda: date(2026, 11, 1),
    "jsonb": lambda: Json({"planted": secrets.token_hex(6)}),
    "text[]": list,
    "uuid[]": list,
    "integer[]": list,
}


def plant(conn: psycopg.Connection, tables: list[Table], organization_id: UUID) -> dict[str, Row]:
    """Insert one row into every tenant table as a superuser; the rows by table name.

    Triggers that guard the course of things stay silent; the audit's fire always.
    """
    conn.execute("set session_replication_role = replica")
    rows: dict[str, Row] = {}
    for table in tables:
        if table.name not in WRITTEN_BY_TRIGGERS:
            rows[table.name] = new_row(table, organization_id, rows)
            insert(conn, table.name, rows[table.name])
    conn.commit()
    for name in sorted(WRITTEN_BY_TRIGGERS):
        rows[name] = _first_row(conn, name, organization_id)
    return rows


def new_row(table: Table, organization_id: UUID, rows: dict[str, Row]) -> Row:
    """A valid row: references lead to `rows`, everything else is new."""
    row: Row = {"organization_id": organization_id}
    for column in table.columns:
        if column.name == "organization_id" or column.is_generated:
            continue
        if column.is_required and not column.has_default:
            row[column.name] = _value(table, column)
    row |= OVERRIDES.get(table.name, {})
    for key in table.foreign_keys:
        if key.target in rows and (key.target != table.name):
            row |= {
                mine: rows[key.target][theirs] for mine, theirs in zip(key.columns, key.target_columns, strict=True)
            }
    return row


def _value(table: Table, column: Column) -> Any:
    if column.name in table.allowed:
        return table.allowed[column.name]
    if column.name in table.lengths:
        return secrets.token_bytes(table.lengths[column.name])
    return VALUES[column.type]()


def insert(conn: psycopg.Connection, table: str, row: Row) -> None:
    """One row into one table."""
    conn.execute(insertion(table, row), list(row.values()))


def insertion(table: str, row: Row) -> sql.Composed:
    """The INSERT statement for such a row."""
    return sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier(*table.split(".")),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join([sql.Placeholder()] * len(row)),
    )


def _first_row(conn: psycopg.Connection, table: str, organization_id: UUID) -> Row:
    cursor = conn.cursor(row_factory=psycopg.rows.dict_row)
    statement = sql.SQL("select * from {} where organization_id = %s limit 1")
    row = cursor.execute(statement.format(sql.Identifier(*table.split("."))), [organization_id]).fetchone()
    assert row, f"{table}: planting wrote nothing"
    return {name: Json(value) if isinstance(value, dict) else value for name, value in row.items()}
