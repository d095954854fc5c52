"""Recounts what foreign keys promise: validation under forced row security may have seen no row at all."""

from collections.abc import Iterator

import psycopg
from psycopg import sql

KEYS = """
select k.conrelid::regclass::text, k.conname::text, k.confrelid::regclass::text,
       array(select a.attname::text from unnest(k.conkey) with ordinality c (n, i)
             join pg_attribute a on a.attrelid = k.conrelid and a.attnum = c.n order by i),
       array(select a.attname::text from unnest(k.confkey) with ordinality c (n, i)
             join pg_attribute a on a.attrelid = k.confrelid and a.attnum = c.n order by i)
from pg_constraint k
where k.oid = any (%s)
order by 1, 2
"""


def foreign_keys(conn: psycopg.Connection) -> set[int]:
    """The object ids of all foreign keys; a partition's own are its parent's."""
    found = conn.execute("select oid from pg_constraint where contype = 'f' and conparentid = 0")
    return {row[0] for row in found.fetchall()}


def recount(conn: psycopg.Connection, keys: set[int]) -> Iterator[tuple[str, int]]:
    """Of these foreign keys those that rows break, with how many; `conn` is app_migrator's, which sees every row."""
    for table, name, target, columns, target_columns in conn.execute(KEYS, [list(keys)]).fetchall():
        row = conn.execute(_lost(table, columns, target, target_columns)).fetchone()
        if row and row[0]:
            yield f"{table} {name}", int(row[0])


def _lost(table: str, columns: list[str], target: str, target_columns: list[str]) -> sql.Composed:
    """How many rows name something and find nothing; a null names nothing."""
    there = sql.SQL(" and ").join(
        sql.SQL("t.{} = r.{}").format(sql.Identifier(theirs), sql.Identifier(ours))
        for ours, theirs in zip(columns, target_columns, strict=True)
    )
    named = sql.SQL(" and ").join(sql.SQL("r.{} is not null").format(sql.Identifier(column)) for column in columns)
    return sql.SQL("select count(*) from {} r where {} and not exists (select from {} t where {})").format(
        sql.Identifier(*table.split(".")), named, sql.Identifier(*target.split(".")), there
    )
