"""Brings an archive into an empty installation: every row and the whole audit chain as they were, or nothing."""

from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Json

from db.archive import ArchiveReader, Manifest, Part, reading
from db.organization_life import LifeError, columns, enter, migration_state, shared_tables

_TRIGGERS = """
select format('%%s.%%s', n.nspname, c.relname) as table_name, t.tgname::text, t.tgenabled::text
from pg_trigger t
join pg_class c on c.oid = t.tgrelid
join pg_namespace n on n.oid = c.relnamespace
where not t.tgisinternal and t.tgparentid = 0 and format('%%s.%%s', n.nspname, c.relname) = any (%s)
order by 1, 2
"""
_STATES: dict[str, LiteralString] = {"O": "enable", "A": "enable always", "R": "enable replica", "D": "disable"}

Trigger = tuple[str, str, str]


def import_organization(url: str, path: Path, *, operator: str, reason: str) -> Manifest:
    """Import as app_migrator in one transaction; other writers of the installation wait for it.

    Raises LifeError or ArchiveError when the archive does not belong here or is not whole, psycopg.Error otherwise.
    """
    with reading(path) as archive, psycopg.connect(url) as conn:
        manifest = archive.manifest
        organization_id = UUID(manifest.organization_id)
        conn.execute("set local search_path = ''")
        _refuse(conn, manifest, organization_id)
        parts = _ordered(conn, manifest)
        silenced = _silence(conn, [part.table for part in parts])
        _fill(conn, archive, parts, organization_id)
        _restore(conn, silenced)
        _verify(conn, manifest, organization_id)
        _certify(conn, manifest, organization_id, operator, reason)
    return manifest


def _refuse(conn: psycopg.Connection[Any], manifest: Manifest, organization_id: UUID) -> None:
    here = migration_state(conn)
    if here.sha256 != manifest.migrations:
        raise LifeError(
            f"The archive was written by a release at {manifest.last_migration}, this database is at {here.last}: "
            "export and import with the same release."
        )
    # Nobody founds an organization between this look and the end.
    conn.execute("lock table identity.organization_directory in share row exclusive mode")
    others = [found for (found,) in conn.execute("select organization_id from identity.organization_directory limit 2")]
    if conn.execute(
        "select from identity.organization_directory where organization_id = %s", [organization_id]
    ).rowcount:
        raise LifeError(f"The organization {organization_id} is here already.")
    if others:
        raise LifeError("This installation has organizations. An archive is imported into an empty one.")


def _ordered(conn: psycopg.Connection[Any], manifest: Manifest) -> list[Part]:
    """What others refer to comes first; a table that is not here or not to be filled is refused."""
    order = [*shared_tables(conn), "identity.accounts"]
    placed = conn.execute("select name from ops.organization_tables() order by place desc, name").fetchall()
    order += [name for (name,) in placed]
    parts = {part.table: part for part in manifest.parts}
    unknown = parts.keys() - set(order)
    if unknown:
        raise LifeError(f"The archive holds tables that are not to be imported: {', '.join(sorted(unknown))}.")
    return [parts[table] for table in order if table in parts]


def _silence(conn: psycopg.Connection[Any], tables: list[str]) -> list[Trigger]:
    """Switch off our triggers: what they wrote at the source is in the archive. Foreign keys and checks stay on."""
    triggers: list[Trigger] = conn.execute(_TRIGGERS, [tables]).fetchall()
    for table, trigger, _ in triggers:
        _alter(conn, table, "disable", trigger)
    return triggers


def _restore(conn: psycopg.Connection[Any], triggers: list[Trigger]) -> None:
    for table, trigger, state in triggers:
        _alter(conn, table, _STATES[state], trigger)
    if conn.execute(_TRIGGERS, [sorted({table for table, _, _ in triggers})]).fetchall() != triggers:
        raise LifeError("The triggers are not as they were.")


def _alter(conn: psycopg.Connection[Any], table: str, state: LiteralString, trigger: str) -> None:
    statement = sql.SQL("alter table {} {} trigger {}")
    conn.execute(statement.format(_name(table), sql.SQL(state), sql.Identifier(trigger)))


def _fill(conn: psycopg.Connection[Any], archive: ArchiveReader, parts: list[Part], organization_id: UUID) -> None:
    enter(conn, organization_id)
    for month in archive.manifest.usage_months:
        conn.execute("select usage.create_partition(%s::date)", [month])
    for table in shared_tables(conn):
        conn.execute(sql.SQL("delete from {}").format(_name(table)))
    for part in parts:
        if set(part.columns) != set(columns(conn, part.table)):
            raise LifeError(f"The columns of {part.table} are not those of this database.")
        chosen = sql.SQL(", ").join(map(sql.Identifier, part.columns))
        with conn.cursor().copy(sql.SQL("copy {} ({}) from stdin").format(_name(part.table), chosen)) as target:
            for block in archive.blocks(part):
                target.write(block)


def _verify(conn: psycopg.Connection[Any], manifest: Manifest, organization_id: UUID) -> None:
    """Every row is the organization's own and counted again; the chain is whole and ends as it ended."""
    found = conn.execute("select ops.count_rows(%s)", [organization_id]).fetchone()
    here: dict[str, int] = found[0] if found else {}
    for table in (*shared_tables(conn), "identity.accounts"):
        row = conn.execute(sql.SQL("select count(*) from {}").format(_name(table))).fetchone()
        here[table] = row[0] if row else 0
    wrong = [table for table, rows in manifest.counts.items() if here.get(table) != rows]
    if wrong:
        raise LifeError(f"The rows of {', '.join(wrong)} are not those of the organization alone.")
    chain = conn.execute(
        "select v.is_intact, v.reason, h.position, encode(h.hash, 'hex') from audit.verify_chain(%(id)s) v"
        " cross join audit.chain_heads h where h.organization_id = %(id)s",
        {"id": organization_id},
    ).fetchone()
    if chain is None or not chain[0] or chain[2:] != (manifest.chain_position, manifest.chain_hash):
        raise LifeError(f"The audit chain is not the one that was exported: {chain[1] if chain else 'it is missing'}.")


def _certify(
    conn: psycopg.Connection[Any], manifest: Manifest, organization_id: UUID, operator: str, reason: str
) -> None:
    conn.execute(
        "insert into audit.certificates (kind, organization_hash, counts, chain_position, chain_hash, operator, reason)"
        " values ('imported', audit.name_of(%s), %s, %s, decode(%s, 'hex'), %s, %s)",
        [organization_id, Json(manifest.counts), manifest.chain_position, manifest.chain_hash, operator, reason],
    )


def _name(table: str) -> sql.Identifier:
    return sql.Identifier(*table.split("."))
