"""Writes one organization into an archive: pg_dump under row security, all of it counted again in one snapshot."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from db.archive import ArchiveWriter, Manifest, Part, writing
from db.dump import Dump
from db.organization_life import LifeError, columns, enter, migration_state, shared_tables

# Rows of people and directories, through the narrow doors of 0070. Not exported: sessions, tokens, mails to people.
DIRECTORIES = {
    "identity.organization_directory": "identity.export_organization()",
    "identity.accounts": "identity.export_accounts()",
    "identity.seat_directory": "identity.export_seats()",
    "identity.api_key_directory": "identity.export_keys()",
    "identity.invitation_directory": "identity.export_invitations()",
    "identity.payment_directory": "identity.export_payments()",
    "identity.work_directory": "identity.export_work()",
    "billing.payment_events": "billing.export_events()",
}


def export_organization(
    url: str, organization_id: UUID, path: Path, pg_dump: Path, *, operator: str, reason: str
) -> Manifest:
    """Export as app_exporter into a new file at `path`; the organization's trail says who and why before it begins.

    Raises LifeError, psycopg.Error or OSError; nothing is left under the file's name then.
    """
    with psycopg.connect(url, autocommit=True) as conn:
        _record(conn, organization_id, operator, reason)
        with _snapshot(conn, organization_id) as snapshot, writing(path) as archive:
            manifest = _describe(conn, organization_id, operator)
            dump = Dump(url, organization_id, pg_dump, snapshot)
            manifest.parts += _tenant_parts(conn, organization_id, archive, dump, manifest)
            manifest.parts += [_copied(conn, archive, table, door) for table, door in DIRECTORIES.items()]
            manifest.parts += [_copied(conn, archive, table, table) for table in shared_tables(conn)]
            archive.finish(manifest)
    return manifest


def _record(conn: psycopg.Connection[Any], organization_id: UUID, operator: str, reason: str) -> None:
    conn.execute("begin read write")
    enter(conn, organization_id)
    if conn.execute("select from tenancy.organizations where organization_id = %s", [organization_id]).rowcount == 0:
        raise LifeError(f"There is no organization {organization_id}.")
    conn.execute(
        "insert into audit.accesses (organization_id, kind, reason, operator) values (%s, 'export', %s, %s)",
        [organization_id, reason, operator],
    )
    conn.execute("commit")


@contextmanager
def _snapshot(conn: psycopg.Connection[Any], organization_id: UUID) -> Iterator[str]:
    """A moment that this connection and pg_dump's see alike."""
    conn.execute("begin isolation level repeatable read read only")
    enter(conn, organization_id)
    yield _value(conn, "select pg_export_snapshot()")
    conn.execute("commit")


def _describe(conn: psycopg.Connection[Any], organization_id: UUID, operator: str) -> Manifest:
    name = _value(conn, "select name from tenancy.organizations where organization_id = %s", organization_id)
    head = conn.execute(
        "select position, encode(hash, 'hex') from audit.chain_heads where organization_id = %s", [organization_id]
    ).fetchone()
    months = conn.execute(
        "select distinct billed_month::text from usage.usage_records where organization_id = %s", [organization_id]
    ).fetchall()
    if head is None:
        raise LifeError("The organization has no audit trail: its chain could not be checked anywhere.")
    state = migration_state(conn)
    return Manifest(
        str(organization_id), name, datetime.now(UTC).isoformat(), operator, state.sha256, state.last,
        head[0], head[1], sorted(month for (month,) in months),
    )  # fmt: skip


def _tenant_parts(
    conn: psycopg.Connection[Any], organization_id: UUID, archive: ArchiveWriter, dump: Dump, manifest: Manifest
) -> Iterator[Part]:
    """Every tenant table: whole ones by pg_dump, partitioned ones by COPY, since nobody has a right on a partition."""
    tables = conn.execute(
        "select t.name, c.relkind = 'p', has_table_privilege(t.table_id, 'select') from ops.tables t"
        " join pg_class c on c.oid = t.table_id where t.kind = 'tenant' and not t.is_partition order by t.name"
    ).fetchall()
    manifest.not_exported = [name for name, _, is_readable in tables if not is_readable]
    whole = [name for name, is_partitioned, is_readable in tables if is_readable and not is_partitioned]
    split = [name for name, is_partitioned, is_readable in tables if is_readable and is_partitioned]
    for name, names, lines in dump.tables(whole):
        yield _counted(conn, organization_id, archive.add(name, names, lines))
        whole.remove(name)
    if whole:
        raise LifeError(f"pg_dump left out {', '.join(whole)}.")
    for name in split:
        yield _counted(conn, organization_id, _copied(conn, archive, name, name))


def _counted(conn: psycopg.Connection[Any], organization_id: UUID, part: Part) -> Part:
    count = sql.SQL("select count(*) from {} where organization_id = %s").format(sql.Identifier(*part.table.split(".")))
    found = conn.execute(count, [organization_id]).fetchone()
    if found is None or found[0] != part.rows:
        raise LifeError(f"{part.table}: {part.rows} rows were written, the database has {found}.")
    return part


def _copied(conn: psycopg.Connection[Any], archive: ArchiveWriter, table: str, source: LiteralString) -> Part:
    """`source` is a table or a function of the lists above."""
    names = columns(conn, table)
    chosen = sql.SQL(", ").join(map(sql.Identifier, names))
    with conn.cursor().copy(sql.SQL("copy (select {} from {}) to stdout").format(chosen, sql.SQL(source))) as rows:
        return archive.add(table, names, rows)


def _value(conn: psycopg.Connection[Any], statement: LiteralString, *arguments: object) -> str:
    row = conn.execute(statement, arguments).fetchone()
    return str(row[0]) if row else ""
