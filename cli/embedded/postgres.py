"""An embedded PostgreSQL: initialised once, started in hundredths of a second, repaired after a kill."""

import re
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from cli.embedded.binaries import postgres_folder
from cli.embedded.cluster import SUPERUSER, environment, initialise, repair
from cli.embedded.process import Process, launch, running
from cli.embedded.server import EmbeddedServer, ServerError
from cli.embedded.unprivileged import Way, find_way

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
NO_PROCESS = 2**31 - 1  # above every system's limit
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
        programs = postgres_folder()
        repair(self.cluster)
        if self.cluster.exists():
            self._disown_lock_file()
            self._way = find_way(self.cluster, programs)
        else:
            self._way = initialise(self.cluster, self._password(), programs)

    def _disown_lock_file(self) -> None:
        """Put the id of no process into a lock file left behind.

        PostgreSQL refuses to start while the process named there exists, even when the id now belongs to another
        program, or to a dead process that nobody waited for. What really protects the data stays: it looks whether a
        server process is left in the shared memory that the rest of the file names.
        """
        path = self.cluster / "postmaster.pid"
        if path.exists():
            rest = path.read_text().partition("\n")[2]
            path.write_text(f"{NO_PROCESS}\n{rest}")

    def _spawn(self, log: IO[bytes]) -> Process:
        settings = {**self._settings, "port": str(self.port)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        way = self._way or find_way(self.cluster, postgres_folder())
        command: list[str | Path] = [way.programs / "postgres", "-D", self.cluster, *options]
        return launch(command, signal.SIGINT, output=log, environment=environment(), folder=Path("/"), enter=way.enter)

    def _recorded(self) -> tuple[int, int] | None:
        return _process_and_port(self._postmaster_lines())

    def _answers(self) -> bool:
        # From one reading: the file is replaced while a server starts, and two halves of two servers make none.
        lines = self._postmaster_lines()
        recorded = _process_and_port(lines)
        is_ready = len(lines) >= 8 and lines[7].strip() == "ready"
        return is_ready and recorded is not None and running(recorded[0], self.programs)

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


def _process_and_port(lines: list[str]) -> tuple[int, int] | None:
    """What a lock file says of its server; None while it is being written."""
    try:
        return int(lines[0]), int(lines[3])
    except (IndexError, ValueError):
        return None
