"""Every way to reach another organization's rows that a role could try on a table: each yields what got through."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from tests.isolation.byways import leaky_condition, merge, prepared, returning, row_lock, statistics
from tests.isolation.catalog import Table
from tests.isolation.collisions import conflict_oracle, foreign_key, unique_probe, upsert
from tests.isolation.phrases import changeable, on
from tests.isolation.planting import insertion, new_row
from tests.isolation.world import DENIED, NO_CONTEXT, World

Attack = Callable[[World, Table], Iterator[str]]


def select_foreign(world: World, table: Table) -> Iterator[str]:
    for statement, values in (
        ("select count(*) from {table} where organization_id = %s", [world.victim]),
        ("select count(*) from {table} where organization_id <> %s", [world.attacker]),
        ("select count(*) from {table} where organization_id::text like %s", [str(world.victim)]),
        ("select count(*) from {table} tablesample system (100) where organization_id <> %s", [world.attacker]),
        ("select count(*) from {table} where ctid >= '(0,0)' and organization_id <> %s", [world.attacker]),
        ("select count(*) from {table} t where t::text like %s", [f"%{world.victim}%"]),
    ):
        outcome = world.attempt(on(statement, table), values)
        if not outcome.is_harmless(DENIED):
            yield f"{statement}: {outcome}"


def select_own(world: World, table: Table) -> Iterator[str]:
    """Not an attack: shows that the others would find something if the guard were open."""
    outcome = world.attempt(on("select count(*) from {table}", table))
    if outcome.sqlstate != DENIED and not outcome.value:
        yield f"the own row is not seen: {outcome}"


def insert_foreign(world: World, table: Table) -> Iterator[str]:
    row = new_row(table, world.victim, world.victims)
    outcome = world.attempt(insertion(table.name, row), list(row.values()))
    if outcome.sqlstate != DENIED:
        yield f"insert for the victim: {outcome}"


def update_foreign(world: World, table: Table) -> Iterator[str]:
    for column in changeable(world, table):
        part = sql.Identifier(column)
        statement = on("update {table} set {column} = {column} where organization_id = %s", table, column=part)
        outcome = world.attempt(statement, [world.victim])
        if not outcome.is_harmless(DENIED):
            yield f"update {column} of the victim: {outcome}"


def delete_foreign(world: World, table: Table) -> Iterator[str]:
    outcome = world.attempt(on("delete from {table} where organization_id = %s", table), [world.victim])
    if not outcome.is_harmless(DENIED):
        yield f"delete of the victim: {outcome}"


def blind_update(world: World, table: Table) -> Iterator[str]:
    own = world.own_rows(table)
    column = sql.Identifier(changeable(world, table)[-1])
    outcome = world.attempt(on("update {table} set {column} = {column}", table, column=column))
    if outcome.touched > own:
        yield f"a blind update touched {outcome.touched} rows, {own} are the attacker's"


def blind_delete(world: World, table: Table) -> Iterator[str]:
    own = world.own_rows(table)
    outcome = world.attempt(on("delete from {table}", table))
    if outcome.touched > own:
        yield f"a blind delete touched {outcome.touched} rows, {own} are the attacker's"


def move(world: World, table: Table) -> Iterator[str]:
    """With and without WHERE: a statement that reads no column is held by fewer policies."""
    for statement, values in (
        ("update {table} set organization_id = %s where organization_id = %s", [world.victim, world.attacker]),
        ("update {table} set organization_id = %s", [world.victim]),
    ):
        outcome = world.attempt(on(statement, table), values)
        if outcome.sqlstate != DENIED:
            yield f"{statement}: {outcome}"


def contexts(world: World, table: Table) -> Iterator[str]:
    """No, an empty, a malformed, and a wrong context, for all four commands."""
    row = new_row(table, world.victim, world.victims)
    column = sql.Identifier(changeable(world, table)[-1])
    commands: list[tuple[sql.Composed, list[Any]]] = [
        (on("select count(*) from {table}", table), []),
        (insertion(table.name, row), list(row.values())),
        (on("update {table} set {column} = {column}", table, column=column), []),
        (on("delete from {table}", table), []),
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
    outcome = world.attempt(on("truncate {table} cascade", table))
    if outcome.sqlstate != DENIED:
        yield f"truncate: {outcome}"


def copy_out(world: World, table: Table) -> Iterator[str]:
    try:
        world.conn.execute("select set_config('app.current_org_id', %s, true)", [str(world.attacker)])
        with world.conn.cursor().copy(on("copy (select * from {table}) to stdout", table)) as rows:
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
        with world.conn.cursor().copy(on("copy {table} ({names}) from stdin", table, names=names)) as lines:
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
        conflict_oracle, foreign_key, unique_probe, move, merge, returning, leaky_condition, row_lock, prepared,
        statistics, contexts, truncate, copy_out, copy_in, partitions,
    )
}  # fmt: skip
