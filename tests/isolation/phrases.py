"""How the attacks are worded: a statement on a table, and the columns of it that a role may change."""

from psycopg import sql

from tests.isolation.catalog import Table
from tests.isolation.world import World


def name(table: Table) -> sql.Identifier:
    """Schema and table."""
    return sql.Identifier(*table.name.split("."))


def on(statement: str, table: Table, **parts: sql.Composable) -> sql.Composed:
    """A statement about `{table}` and other parts."""
    return sql.SQL(statement).format(table=name(table), **parts)


def changeable(world: World, table: Table) -> list[str]:
    """The columns that the attacker's role may update; the organization's when there is none."""
    found = world.conn.execute(
        "select a.attname::text from pg_attribute a where a.attrelid = %s::regclass and a.attnum > 0 "
        "and not a.attisdropped and a.attgenerated = '' and has_column_privilege(a.attrelid, a.attnum, 'update') "
        "order by a.attnum",
        [table.name],
    ).fetchall()
    world.conn.rollback()
    return [row[0] for row in found] or ["organization_id"]
