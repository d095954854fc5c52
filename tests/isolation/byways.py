"""Attacks by the byways of SQL: MERGE, RETURNING, conditions that leak, row locks, prepared plans and statistics."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from tests.isolation.catalog import Table
from tests.isolation.phrases import changeable, on
from tests.isolation.planting import Row, new_row
from tests.isolation.world import DENIED, World


def merge(world: World, table: Table) -> Iterator[str]:
    """Each branch of MERGE is another command with checks of its own (CVE-2023-39418); its source names the victim."""
    own = world.own_rows(table)
    column = sql.Identifier(changeable(world, table)[-1])
    row = new_row(table, world.victim, world.victims)
    for branch, limit in (
        (sql.SQL("on t.organization_id = s.id when matched then update set {column} = t.{column}"), 0),
        (sql.SQL("on t.organization_id = s.id when matched then delete"), 0),
        (sql.SQL("on false when not matched by source then update set {column} = t.{column}"), own),
        (sql.SQL("on false when not matched by source then delete"), own),
        (sql.SQL("on t.organization_id <> s.id when matched then update set organization_id = s.id"), -1),
        (sql.SQL("on false when not matched then {insertion}"), -1),
    ):
        text = branch.format(column=column, insertion=_values(row))
        statement = on("merge into {table} as t using (select %s::uuid as id) as s {text}", table, text=text)
        outcome = world.attempt(
            statement, [world.victim, *(row.values() if limit < 0 and "insert" in str(text) else [])]
        )
        if outcome.sqlstate != DENIED and (limit < 0 or outcome.sqlstate or outcome.touched > limit):
            yield f"merge {branch.as_string()}: {outcome}"


def _values(row: Row) -> sql.Composed:
    return sql.SQL("insert ({}) values ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join([sql.Placeholder()] * len(row))
    )


def returning(world: World, table: Table) -> Iterator[str]:
    """What a statement without a condition hands back is the attacker's alone."""
    column = sql.Identifier(changeable(world, table)[-1])
    for command in ("update {table} set {column} = {column}", "delete from {table}"):
        statement = on(
            "with t as (" + command + " returning *) select count(*) from t where organization_id <> %s",
            table, column=column,
        )  # fmt: skip
        outcome = world.attempt(statement, [world.attacker])
        if not (outcome.sqlstate == DENIED or outcome.value == 0):
            yield f"{command} returning: {outcome}"


def leaky_condition(world: World, table: Table) -> Iterator[str]:
    """The condition divides by zero, and so tells, when it is asked of another's row before the policies are."""
    asked = "1 / (organization_id = %s)::integer = 1"
    column = sql.Identifier(changeable(world, table)[-1])
    for command in (
        "select from {table} where ",
        "update {table} set {column} = {column} where ",
        "delete from {table} where ",
    ):
        outcome = world.attempt(on(command + asked, table, column=column), [world.attacker])
        if outcome.sqlstate == "22012":
            yield f"{command}: the condition met another's row"


def row_lock(world: World, table: Table) -> Iterator[str]:
    """A row of the victim's that somebody holds is neither waited for nor refused: it is not there."""
    with _another(world) as victim:
        victim.execute("select set_config('app.current_org_id', %s, true)", [str(world.victim)])
        try:
            victim.execute(on("select from {table} for update", table))
        except psycopg.errors.InsufficientPrivilege:
            return
        for statement in (
            "select from {table} where organization_id = %s for update nowait",
            "select from {table} where organization_id = %s for share nowait",
        ):
            outcome = world.attempt(on(statement, table), [world.victim])
            if outcome.sqlstate != DENIED and (outcome.sqlstate or outcome.touched):
                yield f"{statement}: {outcome}"


@contextmanager
def _another(world: World) -> Iterator[psycopg.Connection]:
    """A second session of the same role; what it does is undone."""
    info = world.conn.info
    with psycopg.connect(info.dsn, password=info.password) as conn:
        yield conn
        conn.rollback()


def prepared(world: World, table: Table) -> Iterator[str]:
    """A plan made and used for the victim, in the session that the attacker has next, as a pool hands them on."""
    for mode in ("force_generic_plan", "force_custom_plan"):
        conn = world.conn
        try:
            conn.execute("select set_config('app.current_org_id', %s, true)", [str(world.victim)])
            conn.execute(sql.SQL("set local plan_cache_mode = {}").format(sql.Identifier(mode)))
            conn.execute(
                on(
                    "prepare attack as select count(*) from {table} where organization_id = {victim}",
                    table,
                    victim=sql.Literal(world.victim),
                )
            )
            conn.execute("execute attack")
            conn.execute("select set_config('app.current_org_id', %s, true)", [str(world.attacker)])
            seen = conn.execute("execute attack").fetchone()
            if seen != (0,):
                yield f"a plan made for the victim shows {seen} to the attacker ({mode})"
        except psycopg.errors.InsufficientPrivilege:
            continue
        finally:
            conn.rollback()
            conn.execute("deallocate all")
            conn.rollback()


def statistics(world: World, table: Table) -> Iterator[str]:
    """The most common values of a column are rows too; the planner's notes show none of a secured table."""
    schema, _, name = table.name.partition(".")
    outcome = world.attempt(
        sql.SQL("select count(*) from pg_stats where schemaname = %s and tablename like %s"), [schema, f"{name}%"]
    )
    if outcome.value != 0:
        yield f"pg_stats: {outcome}"
