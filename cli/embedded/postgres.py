"""An embedded PostgreSQL: initialised once, started in hundredths of a second, repaired after a kill."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from cli.embedded.binaries import postgres_folder, postgres_major
from cli.embedded.process import Process, launch
from cli.embedded.server import EmbeddedServer, ServerError
from cli.embedded.unprivileged import Way, find_way

SUPERUSER = "postgres"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # the limit of 107 characters for a socket's path cannot be met everywhere
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "jit": "off",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL server; `settings` are added to its command line."""

    name = "PostgreSQL"
    programs = ("postgres",)
    stop_signals = ((signal.SIGINT, 15), (signal.SIGQUIT, 10), (signal.SIGKILL, 5))

    def __init__(
        self, data_dir: Path, port: int | None = None, durable: bool = True, settings: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(data_dir, port, durable)
        self._settings = {**SETTINGS, **({} if durable else NOT_DURABLE), **(settings or {})}
        self._way: Way | None = None

    def superuser_url(self, database: str = "postgres") -> str:
        """The connection URL of the superuser for `database`."""
        return f"postgresql://{SUPERUSER}:{self._password()}@127.0.0.1:{self.port}/{database}"

    @property
    def cluster(self) -> Path:
        """The folder that PostgreSQL calls PGDATA."""
        return self.data_dir / "cluster"

    def _prepare(self) -> None:
        for leftover in self.data_dir.glob("cluster.new*"):
            shutil.rmtree(leftover)
        self._set_aside_incomplete()
        programs = postgres_folder()
        if self.cluster.exists():
            self._forget_reused_pid()
            self._way = find_way(self.cluster, programs)
        else:
            self._way = self._initialise(programs)

    def _set_aside_incomplete(self) -> None:
        """Move a folder that was never a whole cluster out of the way: there is nothing in it to start."""
        needed = (self.cluster / "PG_VERSION", self.cluster / "global" / "pg_control")
        if self.cluster.exists() and not all(path.exists() for path in needed):
            self.cluster.rename(self.data_dir / f"cluster.broken-{time.time_ns()}")

    def _forget_reused_pid(self) -> None:
        """Drop a lock file whose process id now belongs to another program: PostgreSQL would refuse to start."""
        recorded = self._recorded()
        if recorded and _exists(recorded[0]):
            (self.cluster / "postmaster.pid").unlink()

    def _initialise(self, programs: Path) -> Way:
        """Make the cluster under another name and rename it when whole, so that a kill leaves nothing half done."""
        fresh = self.data_dir / "cluster.new"
        fresh.mkdir(0o700)
        way = find_way(fresh, programs)
        password = self.data_dir / "cluster.new-password"
        password.mkdir(0o700)
        secret = password / "password"
        secret.write_text(self._password())
        for path in (secret, password):
            os.chown(path, way.uid, way.gid)
        try:
            self._initdb(fresh, secret, way)
        finally:
            shutil.rmtree(password)
        fresh.rename(self.cluster)
        return way

    def _initdb(self, folder: Path, secret: Path, way: Way) -> None:
        modern = postgres_major(way.programs) >= 17
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"] if modern else ["--locale=C"]
        access = ["--auth=scram-sha-256", f"--username={SUPERUSER}", f"--pwfile={secret}"]
        made = subprocess.run(
            [way.programs / "initdb", "--no-sync", "--encoding=UTF8", *locale, *access, "-D", folder],
            capture_output=True,
            text=True,
            env=_environment(),
            cwd="/",
            preexec_fn=way.enter,
            check=False,
        )
        if made.returncode != 0:
            told = made.stderr.strip() or made.stdout.strip()
            raise ServerError(f"PostgreSQL could not make its data folder: {told}")

    def _spawn(self, log: IO[bytes]) -> Process:
        settings = {**self._settings, "port": str(self.port)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        way = self._way or find_way(self.cluster, postgres_folder())
        command: list[str | Path] = [way.programs / "postgres", "-D", self.cluster, *options]
        return launch(command, signal.SIGINT, output=log, environment=_environment(), folder=Path("/"), enter=way.enter)

    def _recorded(self) -> tuple[int, int] | None:
        lines = self._postmaster_lines()
        try:
            return int(lines[0]), int(lines[3])
        except (IndexError, ValueError):
            return None

    def _answers(self) -> bool:
        lines = self._postmaster_lines()
        return len(lines) >= 8 and lines[7].strip() == "ready" and self._running_pid() is not None

    def _postmaster_lines(self) -> list[str]:
        try:
            return (self.cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []
        except PermissionError:
            whose = f"{self.cluster} belongs to another user."
            raise ServerError(f"{whose} Start as that user, or choose another DATA_DIR.") from None

    def _worth_retrying(self, reason: str) -> bool:
        # After a kill of the postmaster alone its children need a moment to notice and leave.
        return "shared memory block" in reason or super()._worth_retrying(reason)

    def _explain(self, reason: str) -> str:
        telling = re.findall(r"(?:FATAL|PANIC|DETAIL|HINT): +(.*)", reason)
        return " ".join(telling) or super()._explain(reason)

    def _password(self) -> str:
        path = self.data_dir / "password"
        if not path.exists():
            if self.cluster.exists():
                lost = f"{path} is missing: the superuser's password is lost."
                raise ServerError(f"{lost} Put it back, or remove {self.data_dir}.")
            path.touch(0o600)
            path.write_text(secrets.token_urlsafe(24))
        return path.read_text()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _environment() -> dict[str, str]:
    """The caller's environment without the variables that would steer PostgreSQL, in plain English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}
