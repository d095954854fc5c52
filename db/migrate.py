"""Applies, reverts and lists the SQL migrations through yoyo, one process at a time."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import yoyo
from yoyo.backends import DatabaseBackend
from yoyo.migrations import MigrationList

from db import orphans
from db.bootstrap import GRANTS
from settings import ROOT

MIGRATIONS = ROOT / "sql" / "migrations"
_MIGRATION_LOCK = 7267000002
# A migration that must wait for a table gives up rather than keep everybody behind it waiting.
_PATIENCE = "set lock_timeout = '10s'; set statement_timeout = '30min'"


class MigrationError(Exception):
    """The migrations and the database do not fit together; the text says what to do."""


@dataclass(frozen=True)
class MigrationState:
    """One migration file: its id, and whether the database has it."""

    id: str
    is_applied: bool


def up(url: str, directory: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing as the role of `url` (app_migrator) and return the ids applied; waits for another run.

    Raises MigrationError when a role is missing, when an applied file was changed afterwards, when something stays
    unapplied, and when rows break a new foreign key: under forced row security its validation may have seen none.
    """
    with _backend(url) as (backend, conn):
        _refuse_missing_roles(conn)
        migrations = yoyo.read_migrations(str(directory))
        _refuse_changed(conn, directory)
        wanted = backend.to_apply(migrations)
        known = orphans.foreign_keys(conn)
        backend.apply_migrations(wanted)
        _remember_checksums(conn, directory, wanted)
        _refuse_orphans(conn, orphans.foreign_keys(conn) - known)
        left = [migration.id for migration in backend.to_apply(migrations)]
        if left:
            raise MigrationError(f"Not applied: {', '.join(left)}. Look for a wrong `-- depends:` line.")
        return [migration.id for migration in wanted]


def down(url: str, steps: int = 1, directory: Path = MIGRATIONS) -> list[str]:
    """Revert the newest `steps` migrations by their rollback files and return their ids."""
    with _backend(url) as (backend, conn):
        applied = list(backend.to_rollback(yoyo.read_migrations(str(directory))))[:steps]
        backend.rollback_migrations(MigrationList(applied))
        for migration in applied:
            conn.execute("delete from migrations.checksums where migration_id = %s", [migration.id])
        return [migration.id for migration in applied]


def status(url: str, directory: Path = MIGRATIONS) -> list[MigrationState]:
    """Every migration file in order, with whether it is applied."""
    with _backend(url) as (backend, _):
        migrations = yoyo.read_migrations(str(directory))
        missing = {migration.id for migration in backend.to_apply(migrations)}
        return [MigrationState(migration.id, migration.id not in missing) for migration in migrations]


@contextmanager
def _backend(url: str) -> Iterator[tuple[DatabaseBackend, psycopg.Connection]]:
    """yoyo's backend under our own lock: its lock row survives a kill, an advisory lock ends with its connection."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("select pg_advisory_lock(%s)", [_MIGRATION_LOCK])
        conn.execute(
            "create table if not exists migrations.checksums (migration_id text primary key, sha256 text not null)"
        )
        backend = yoyo.get_backend(urlunsplit(urlsplit(url)._replace(scheme="postgresql+psycopg")))
        try:
            with backend.transaction():
                backend.execute(_PATIENCE)
            backend.break_lock()
            yield backend, conn
        finally:
            backend.connection.close()


def _refuse_missing_roles(conn: psycopg.Connection) -> None:
    """A release may bring a role, which only a superuser can make."""
    wanted = re.findall(r"\('(\w+)', +'(?:no)?login ", (GRANTS / "roles.sql").read_text())
    found = {row[0] for row in conn.execute("select rolname from pg_roles")}
    missing = [role for role in wanted if role not in found]
    if missing:
        raise MigrationError(f"Not there: {', '.join(missing)}. Run `mts migrate bootstrap` as a superuser first.")


def _refuse_orphans(conn: psycopg.Connection, fresh: set[int]) -> None:
    found = [f"{key}: {count}" for key, count in orphans.recount(conn, fresh)]
    if found:
        raise MigrationError(f"Rows refer to nothing ({'; '.join(found)}). Mend them; the migrations are applied.")


def _checksum(directory: Path, migration_id: str) -> str:
    return hashlib.sha256((directory / f"{migration_id}.sql").read_bytes()).hexdigest()


def _refuse_changed(conn: psycopg.Connection, directory: Path) -> None:
    for migration_id, sha256 in conn.execute("select migration_id, sha256 from migrations.checksums order by 1"):
        if not (directory / f"{migration_id}.sql").exists():
            raise MigrationError(f"{migration_id} is applied but its file is gone. Use the release that has it.")
        if _checksum(directory, migration_id) != sha256:
            raise MigrationError(
                f"{migration_id} was changed after it was applied. Restore the file and write a new migration."
            )


def _remember_checksums(conn: psycopg.Connection, directory: Path, applied: MigrationList) -> None:
    for migration in applied:
        conn.execute(
            "insert into migrations.checksums values (%s, %s) on conflict (migration_id) do nothing",
            [migration.id, _checksum(directory, migration.id)],
        )
