"""A streaming standby of a test's own primary, which can be stopped, paused and promoted."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg

from cli.embedded import EmbeddedPostgres
from cli.embedded.binaries import postgres_folder
from tests.servers import TestServers

PATIENCE = 30.0
SETTINGS = {"max_standby_streaming_delay": "200ms", "wal_retrieve_retry_interval": "200ms"}


class Standby(EmbeddedPostgres):
    """A copy of a running primary that follows it."""

    def __init__(self, data_dir: Path, primary: EmbeddedPostgres) -> None:
        super().__init__(data_dir, durable=False, settings=SETTINGS)
        self._primary = primary
        data_dir.mkdir(mode=0o711)
        (data_dir / "password").write_text((primary.data_dir / "password").read_text())
        where = ["--dbname", primary.superuser_url(), "--pgdata", str(self.cluster)]
        options = ["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"]
        subprocess.run([postgres_folder() / "pg_basebackup", *where, *options], check=True)

    def _answers(self) -> bool:
        lines = self._postmaster_lines()
        return super()._answers() or (len(lines) >= 8 and lines[7].strip() == "standby")

    def pause(self) -> None:
        """Receive the log, and replay nothing more."""
        self._ask("select pg_wal_replay_pause()")
        self._until("select pg_get_wal_replay_pause_state() = 'paused'")

    def resume(self) -> None:
        """Go on, and catch up with the primary."""
        if self._ask("select pg_is_wal_replay_paused()"):
            self._ask("select pg_wal_replay_resume()")
        self.catch_up()

    def catch_up(self) -> None:
        """Wait until everything that the primary has written by now is replayed."""
        with psycopg.connect(self._primary.superuser_url(), autocommit=True) as conn:
            end = (conn.execute("select pg_current_wal_insert_lsn()").fetchone() or ("",))[0]
        self.write_on_primary()  # something that goes past this place
        self._until(f"select pg_last_wal_replay_lsn() >= '{end}'")

    def write_on_primary(self) -> None:
        """Let the primary's log grow."""
        with psycopg.connect(self._primary.superuser_url(), autocommit=True) as conn:
            conn.execute("select pg_logical_emit_message(true, 'tests', '')")

    def promote(self) -> None:
        """Follow nobody any more."""
        assert self._ask("select pg_promote()")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Answer nothing and refuse nothing. The first to stop and the last to go on is the one that starts others."""
        postmaster = self.pid
        os.kill(postmaster, signal.SIGSTOP)
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in map(int, children):
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in [*map(int, children), postmaster]:
                os.kill(pid, signal.SIGCONT)

    def _until(self, question: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._ask(question):
            assert time.monotonic() < deadline, question
            time.sleep(0.01)

    def _ask(self, question: str) -> object:
        with psycopg.connect(self.superuser_url(), autocommit=True) as conn:
            return (conn.execute(question.encode()).fetchone() or (None,))[0]


@contextmanager
def own_servers() -> Iterator[TestServers]:
    """A primary and a Valkey that nobody else uses."""
    folder = Path(tempfile.mkdtemp(prefix="mts-replica-"))
    folder.chmod(0o711)
    servers = TestServers(folder)
    servers.postgres.start()
    servers.valkey.start()
    try:
        yield servers
    finally:
        servers.valkey.stop()
        servers.postgres.stop()
        shutil.rmtree(folder)


@contextmanager
def standby_of(servers: TestServers, name: str = "standby") -> Iterator[Standby]:
    """A standby of these servers' PostgreSQL that has caught up."""
    standby = Standby(servers.folder / name, servers.postgres)
    standby.start()
    try:
        standby.catch_up()
        yield standby
    finally:
        standby.stop()


def execute(url: str, statement: LiteralString, *arguments: object) -> list[tuple[object, ...]]:
    """Ask a server as its superuser, around row security and around all marks."""
    with psycopg.connect(url, autocommit=True) as conn:
        cursor = conn.execute(statement, arguments)
        return cursor.fetchall() if cursor.description else []
