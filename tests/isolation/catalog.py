"""What the isolation suite knows about tables, read from the catalog: columns, keys, references, allowed values."""

import re
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row

TABLES = """
select t.table_id, t.name from ops.tables t where t.kind = 'tenant' and not t.is_partition order by t.name
"""
COLUMNS = """
select a.attname::text as name, format_type(a.atttypid, null) as type, a.attnotnull as is_required,
       a.atthasdef as has_default, a.attgenerated <> '' as is_generated
from pg_attribute a
where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""
FOREIGN_KEYS = """
select r.name as target,
       array(select a.attname::text from unnest(k.conkey) with ordinality c (n, i)
             join pg_attribute a on a.attrelid = k.conrelid and a.attnum = c.n order by i) as columns,
       array(select a.attname::text from unnest(k.confkey) with ordinality c (n, i)
             join pg_attribute a on a.attrelid = k.confrelid and a.attnum = c.n order by i) as target_columns
from pg_constraint k join ops.tables r on r.table_id = k.confrelid
where k.conrelid = %s and k.contype = 'f' and k.conparentid = 0
order by k.conname
"""
CHECKS = "select pg_get_constraintdef(oid) as text from pg_constraint where conrelid = %s and contype = 'c'"
ALLOWED = re.compile(r"\((\w+) = (?:ANY \(ARRAY\[)?(['\d].*?)[\])]")
FIXED_LENGTH = re.compile(r"octet_length\((\w+)\) = (\d+)")


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    is_required: bool
    has_default: bool
    is_generated: bool


@dataclass(frozen=True)
class ForeignKey:
    target: str
    columns: list[str]
    target_columns: list[str]


@dataclass(frozen=True)
class Table:
    """One tenant table; `allowed` holds the first value a CHECK lists for a column."""

    name: str
    columns: list[Column]
    foreign_keys: list[ForeignKey]
    key: list[str]
    allowed: dict[str, str] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)


def tenant_tables(conn: psycopg.Connection) -> list[Table]:
    """Every tenant table, those that others refer to first."""
    cursor = conn.cursor(row_factory=dict_row)
    tables = [_table(cursor, row["table_id"], row["name"]) for row in cursor.execute(TABLES).fetchall()]
    return _in_order(tables)


def _table(cursor: psycopg.Cursor[dict[str, Any]], table_id: int, name: str) -> Table:
    columns = [Column(**row) for row in cursor.execute(COLUMNS, [table_id]).fetchall()]
    foreign_keys = [ForeignKey(**row) for row in cursor.execute(FOREIGN_KEYS, [table_id]).fetchall()]
    checks = [row["text"] for row in cursor.execute(CHECKS, [table_id]).fetchall()]
    key = cursor.execute(
        "select array_agg(a.attname::text order by k.i) as columns from pg_index x cross join unnest(x.indkey::int2[]) "
        "with ordinality k (n, i) join pg_attribute a on a.attrelid = x.indrelid and a.attnum = k.n "
        "where x.indrelid = %s and x.indisprimary",
        [table_id],
    ).fetchone()
    allowed = {column: _first(values) for text in checks for column, values in ALLOWED.findall(text)}
    lengths = {column: int(length) for text in checks for column, length in FIXED_LENGTH.findall(text)}
    return Table(name, columns, foreign_keys, (key or {})["columns"], allowed, lengths)


def _first(values: str) -> str:
    """`'a'::text, 'b'::text` → `a`."""
    return values.partition(",")[0].partition("::")[0].strip().strip("'")


def _in_order(tables: list[Table]) -> list[Table]:
    placed: list[Table] = []
    left = list(tables)
    while left:
        ready = [
            table
            for table in left
            if all(
                key.target == table.name or key.target not in {other.name for other in left}
                for key in table.foreign_keys
            )
        ]
        placed += ready
        left = [table for table in left if table not in ready]
        assert ready or not left, f"foreign keys form a circle: {[table.name for table in left]}"
    return placed
