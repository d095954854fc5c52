"""Every way to reach another organization's rows that a role could try on a table: each yields what got through."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from tests.isolation.catalog import Table
from tests.isolation.planting import insertion, new_row
from tests.isolation.world import DENIED, NO_CONTEXT, World

Attack = Callable[[World, Table], Iterator[str]]


def _name(table: Table) -> sql.Identifier:
    return sql.Identifier(*table.name.split("."))


def _on(statement: str, table: Table, **parts: sql.Composable) -> sql.Composed:
    return sql.SQL(statement).format(table=_name(table), **parts)


def _changeable(world: World, table: Table) -> list[str]:
    found = world.conn.execute(
        "select a.attname::text from pg_attribute a where a.attrelid = %s::regclass and a.attnum > 0 "
        "and not a.attisdropped and a.attgenerated = '' and has_column_privilege(a.attrelid, a.attnum, 'update') "
        "order by a.attnum",
        [table.name],
    ).fetchall()
    world.conn.rollback()
    return [row[0] for row in found] or ["organization_id"]


def select_foreign(world: World, table: Table) -> Iterator[str]:
    for statement, values in (
        ("select count(*) from {table} where organization_id = %s", [world.victim]),
        ("select count(*) from {table} where organization_id <> %s", [world.attacker]),
        ("select count(*) from {table} where organization_id::text like %s", [str(world.victim)]),
    ):
        outcome = world.attempt(_on(statement, table), values)
        if not outcome.is_harmless(DENIED):
            yield f"{statement}: {outcome}"


def select_own(world: World, table: Table) -> Iterator[str]:
    """Not an attack: shows that the others would find something if the guard were open."""
    outcome = world.attempt(_on("select count(*) from {table}", table))
    if outcome.sqlstate != DENIED and not outcome.value:
        yield f"the own row is not seen: {outcome}"


def insert_foreign(world: World, table: Table) -> Iterator[str]:
    row = new_row(table, world.victim, world.victims)
    outcome = world.attempt(insertion(table.name, row), list(row.values()))
    if outcome.sqlstate != DENIED:
        yield f"insert for the victim: {outcome}"


def update_foreign(world: World, table: Table) -> Iterator[str]:
    for column in _changeable(world, table):
        part = sql.Identifier(column)
        statement = _on("update {table} set {column} = {column} where organization_id = %s", table, column=part)
        outcome = world.attempt(statement, [world.victim])
        if not outcome.is_harmless(DENIED):
            yield f"update {column} of the victim: {outcome}"


def delete_foreign(world: World, table: Table) -> Iterator[str]:
    outcome = world.attempt(_on("delete from {table} where organization_id = %s", table), [world.victim])
    if not outcome.is_harmless(DENIED):
        yield f"delete of the victim: {outcome}"


def _own(world: World, table: Table) -> int:
    statement = _on("select count(*) from {table} where organization_id = %s", table)
    return int(world.attempt(statement, [world.attacker]).value or 0)


def blind_update(world: World, table: Table) -> Iterator[str]:
    own = _own(world, table)
    column = sql.Identifier(_changeable(world, table)[-1])
    outcome = world.attempt(_on("update {table} set {column} = {column}", table, column=column))
    if outcome.touched > own:
        yield f"a blind update touched {outcome.touched} rows, {own} are the attacker's"


def blind_delete(world: World, table: Table) -> Iterator[str]:
    own = _own(world, table)
    outcome = world.attempt(_on("delete from {table}", table))
    if outcome.touched > own:
        yield f"a blind delete touched {outcome.touched} rows, {own} are the attacker's"


def upsert(world: World, table: Table) -> Iterator[str]:
    row = world.victims[table.name]
    for column in _changeable(world, table):
        statement = sql.SQL("{} on conflict ({}) do update set {} = excluded.{}").format(
            insertion(table.name, row),
            sql.SQL(", ").join(map(sql.Identifier, table.key)),
            sql.Identifier(column),
            sql.Identifier(column),
        )
        outcome = world.attempt(statement, list(row.values()))
        if outcome.sqlstate != DENIED:
            yield f"upsert of {column} over the victim's row: {outcome}"


UNIQUES = """
select array_agg(a.attname::text order by k.i) from pg_index x
cross join unnest(x.indkey::int2[]) with ordinality k (n, i)
join pg_attribute a on a.attrelid = x.indrelid and a.attnum = k.n and a.attgenerated = ''
where x.indrelid = %s::regclass and x.indisunique and x.indpred is null and x.indisvalid
group by x.indexrelid, x.indnatts having count(*) = x.indnatts
"""


def conflict_oracle(world: World, table: Table) -> Iterator[str]:
    """The condition of ON CONFLICT is asked of the row that is there: here it divides by zero when it sees another's.

    PostgreSQL before 18.7 asks it before the policies (CVE-2026-120154); the proposed row must not meet another's.
    """
    column = sql.Identifier(_changeable(world, table)[-1])
    uniques = [row[0] for row in world.conn.execute(UNIQUES, [table.name]).fetchall()]
    world.conn.rollback()
    for columns in uniques:
        row = new_row(table, world.attacker, world.attackers)
        row |= {name: world.victims[table.name].get(name) for name in columns if name != "organization_id"}
        statement = sql.SQL(
            "{} on conflict ({}) do update set {} = excluded.{} where 1 / ({}.organization_id = {})::integer = 1"
        ).format(
            insertion(table.name, row), sql.SQL(", ").join(map(sql.Identifier, columns)), column, column,
            sql.Identifier(table.name.split(".")[1]), sql.Literal(world.attacker),
        )  # fmt: skip
        outcome = world.attempt(statement, list(row.values()))
        if outcome.sqlstate == "22012" or "USING expression" in outcome.message:
            yield f"on conflict ({', '.join(columns)}) meets the victim's row: {outcome}"


def foreign_key(world: World, table: Table) -> Iterator[str]:
    for key in table.foreign_keys:
        columns = [pair for pair in zip(key.columns, key.target_columns, strict=True) if pair[0] != "organization_id"]
        row = new_row(table, world.attacker, world.attackers)
        row |= {mine: world.victims[key.target][theirs] for mine, theirs in columns}
        outcome = world.attempt(insertion(table.name, row), list(row.values()))
        if columns and outcome.sqlstate not in (DENIED, "23503"):
            yield f"a reference to the victim's {key.target}: {outcome}"


def unique_probe(world: World, table: Table) -> Iterator[str]:
    references = {column for key in table.foreign_keys for column in key.columns}
    row = {
        name: world.attackers[table.name][name] if name in references or name == "organization_id" else value
        for name, value in world.victims[table.name].items()
    }
    outcome = world.attempt(insertion(table.name, row), list(row.values()))
    if outcome.sqlstate == "23505" and "organization_id" not in _columns(world, table, outcome.constraint):
        yield "the victim's unique value is refused: an existence oracle"


def _columns(world: World, table: Table, constraint: str | None) -> list[str]:
    """A key that holds organization_id can only collide with the attacker's own row."""
    statement = "select array_agg(a.attname::text) from pg_attribute a where a.attrelid = %s::regclass"
    row = world.conn.execute(statement, [f"{table.name.split('.')[0]}.{constraint}"]).fetchone()
    world.conn.rollback()
    return list(row[0]) if row else []


def move(world: World, table: Table) -> Iterator[str]:
    """With and without WHERE: a statement that reads no column is held by fewer policies."""
    for statement, values in (
        ("update {table} set organization_id = %s where organization_id = %s", [world.victim, world.attacker]),
        ("update {table} set organization_id = %s", [world.victim]),
    ):
        outcome = world.attempt(_on(statement, table), values)
        if outcome.sqlstate != DENIED:
            yield f"{statement}: {outcome}"


def contexts(world: World, table: Table) -> Iterator[str]:
    """No, an empty, a malformed, and a wrong context, for all four commands."""
    row = new_row(table, world.victim, world.victims)
    column = sql.Identifier(_changeable(world, table)[-1])
    commands: list[tuple[sql.Composed, list[Any]]] = [
        (_on("select count(*) from {table}", table), []),
        (insertion(table.name, row), list(row.values())),
        (_on("update {table} set {column} = {column}", table, column=column), []),
        (_on("delete from {table}", table), []),
    ]
    for context in (
        None,
        "",
        "x",
        "NULL",
        str(world.victim).upper(),
        f"{world.victim} ",
        f"{{{world.victim}}}",
        uuid4(),
    ):
        for statement, values in commands:
            outcome = world.attempt(statement, values, context)
            if isinstance(context, UUID):
                fine = outcome.is_harmless(DENIED)
            else:
                fine = outcome.sqlstate in (DENIED, NO_CONTEXT)
            if not fine:
                yield f"context {context!r}, {statement.as_string()[:60]}: {outcome}"


def truncate(world: World, table: Table) -> Iterator[str]:
    outcome = world.attempt(_on("truncate {table} cascade", table))
    if outcome.sqlstate != DENIED:
        yield f"truncate: {outcome}"


def copy_out(world: World, table: Table) -> Iterator[str]:
    try:
        world.conn.execute("select set_config('app.current_org_id', %s, true)", [str(world.attacker)])
        with world.conn.cursor().copy(_on("copy (select * from {table}) to stdout", table)) as rows:
            text = b"".join(bytes(row) for row in rows).decode()
        if str(world.victim) in text:
            yield "copy shows the victim"
    except psycopg.errors.InsufficientPrivilege:
        return
    finally:
        world.conn.rollback()


def copy_in(world: World, table: Table) -> Iterator[str]:
    """Postgres refuses COPY FROM on a table whose row security binds the role, whoever's rows they are."""
    row = {name: value for name, value in world.victims[table.name].items() if value is not None}
    names = sql.SQL(", ").join(map(sql.Identifier, row))
    try:
        world.conn.execute("select set_config('app.current_org_id', %s, true)", [str(world.attacker)])
        with world.conn.cursor().copy(_on("copy {table} ({names}) from stdin", table, names=names)) as lines:
            lines.write_row(list(row.values()))
        yield "copy writes for the victim"
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported):
        return
    except psycopg.Error as error:
        yield f"copy for the victim came as far as {error.sqlstate}"
    finally:
        world.conn.rollback()


PARTITION_STATEMENTS = (
    "select count(*) from {}", "insert into {} default values", "update {} set organization_id = organization_id",
    "delete from {}", "truncate {}",
)  # fmt: skip


def partitions(world: World, table: Table) -> Iterator[str]:
    found = world.conn.execute(
        "select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass", [table.name]
    ).fetchall()
    world.conn.rollback()
    for (partition,) in found:
        for statement in PARTITION_STATEMENTS:
            outcome = world.attempt(sql.SQL(statement).format(sql.SQL(partition)))
            if outcome.sqlstate != DENIED:
                yield f"{statement.format(partition)}: {outcome}"


ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        select_own, select_foreign, insert_foreign, update_foreign, delete_foreign, blind_update, blind_delete, upsert,
        conflict_oracle, foreign_key, unique_probe, move, contexts, truncate, copy_out, copy_in, partitions,
    )
}  # fmt: skip
