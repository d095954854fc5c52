"""The servers of one test run: a PostgreSQL and a Valkey, started once and shared by all its processes.

The first process of a run (pytest's own, before xdist starts its workers) starts them and passes the way to them in the
environment; they end with it, however it ends. A migrated template database is made on first demand; every module then
gets a copy of it in about ten milliseconds.
"""

import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from cli.embedded import EmbeddedPostgres, EmbeddedValkey
from db import migrate
from db.bootstrap import bootstrap, role_url

FOLDER_VARIABLE = "MTS_TEST_RUN"
TEMPLATE = "mts_template"
ROLES = ("app_api", "app_worker", "app_migrator", "app_auditor", "app_exporter")


@dataclass(frozen=True)
class Urls:
    """Connection URLs of one database, one for each role that may log in."""

    api: str
    worker: str
    migrator: str
    auditor: str
    exporter: str
    superuser: str


class TestServers:
    """Both servers; only the process that made them with `begin` ends them."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = EmbeddedPostgres(folder / "postgres", durable=False)
        self.valkey = EmbeddedValkey(folder / "valkey", durable=False)

    @classmethod
    def begin(cls) -> "TestServers":
        """Make the run's folder, start both servers and let child processes know."""
        folder = Path(tempfile.mkdtemp(prefix="mts-tests-"))
        folder.chmod(0o711)
        servers = cls(folder)
        servers._start()
        os.environ[FOLDER_VARIABLE] = str(folder)
        return servers

    @classmethod
    def join(cls) -> "TestServers":
        """The servers that the process which started this one began."""
        servers = cls(Path(os.environ[FOLDER_VARIABLE]))
        servers._start()
        return servers

    def end(self) -> None:
        """Stop both servers and remove their data."""
        self.valkey.stop()
        self.postgres.stop()
        os.environ.pop(FOLDER_VARIABLE, None)
        shutil.rmtree(self.folder)

    def redis_url(self, worker: str) -> str:
        """A logical database of its own for the xdist worker of this name (`gw3` → 3)."""
        return self.valkey.url.removesuffix("/0") + f"/{_number(worker)}"

    def urls(self, database: str) -> Urls:
        """The URLs of every role for `database`."""
        admin = self.postgres.superuser_url()
        by_role = {role.removeprefix("app_"): role_url(admin, database, role, self.password(role)) for role in ROLES}
        return Urls(superuser=self.postgres.superuser_url(database), **by_role)

    def password(self, role: str) -> str:
        """The password of a login role, the same for every process of the run."""
        return (self.folder / "passwords" / role).read_text()

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """A fresh, migrated database for the block; whoever is still connected at its end is cut off."""
        self._copy_template(name)
        try:
            yield name
        finally:
            self.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))

    def execute(self, statement: LiteralString | sql.Composed, database: str = "postgres") -> None:
        """Run one statement as the superuser, outside any transaction."""
        with psycopg.connect(self.postgres.superuser_url(database), autocommit=True) as connection:
            connection.execute(statement)

    def _start(self) -> None:
        self.postgres.start()
        self.valkey.start()

    def _copy_template(self, name: str) -> None:
        with self._one_at_a_time():
            if not (self.folder / "template").exists():
                self._make_template()
        copy = sql.SQL("create database {} template {} strategy file_copy")
        self.execute(copy.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
        # Rights on the database itself are not part of a copy.
        bootstrap(self.postgres.superuser_url(), name, {})

    def _make_template(self) -> None:
        self.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(TEMPLATE)))
        bootstrap(self.postgres.superuser_url(), TEMPLATE, self._passwords())
        migrate.up(self.urls(TEMPLATE).migrator)
        (self.folder / "template").touch()

    def _passwords(self) -> dict[str, str]:
        folder = self.folder / "passwords"
        if not folder.exists():
            folder.mkdir(mode=0o700)
            for role in ROLES:
                (folder / role).write_text(secrets.token_hex(16))
        return {role: self.password(role) for role in ROLES}

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Only the first process that asks makes the template; the others wait for it."""
        with (self.folder / "template.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _number(worker: str) -> int:
    found = re.search(r"\d+$", worker)
    return int(found.group()) if found else 0
