"""Attacks by keys: a row that collides with the victim's, or refers to it, neither reaches it nor says it is there."""

from collections.abc import Iterator

from psycopg import sql

from tests.isolation.catalog import Table
from tests.isolation.phrases import changeable
from tests.isolation.planting import insertion, new_row
from tests.isolation.world import DENIED, World


def upsert(world: World, table: Table) -> Iterator[str]:
    row = world.victims[table.name]
    for column in changeable(world, table):
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
    column = sql.Identifier(changeable(world, table)[-1])
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
