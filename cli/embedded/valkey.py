"""An embedded Valkey, the Redis-compatible store: on the loopback only, kept in an append-only file."""

import signal
import socket
from pathlib import Path
from typing import IO

from cli.embedded.binaries import valkey_server
from cli.embedded.process import Process, launch
from cli.embedded.server import EmbeddedServer


class EmbeddedValkey(EmbeddedServer):
    """A Valkey server; `durable` writes its append-only file to disk once a second, else nothing is kept."""

    name = "Valkey"
    programs = ("valkey-server", "redis-server")
    stop_signals = ((signal.SIGTERM, 15), (signal.SIGKILL, 5))

    @property
    def url(self) -> str:
        """The connection URL of logical database 0 (of 64)."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _prepare(self) -> None:
        self._pid_file.unlink(missing_ok=True)

    def _spawn(self, log: IO[bytes]) -> Process:
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.data_dir),
            "pidfile": str(self._pid_file),
            "databases": "64",
            "save": "",
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return launch([valkey_server(), *options], signal.SIGTERM, output=log, folder=Path("/"))

    def _recorded(self) -> tuple[int, int] | None:
        try:
            port = self._fixed_port or int((self.data_dir / "port").read_text())
            return int(self._pid_file.read_text()), port
        except (FileNotFoundError, ValueError):
            return None

    def _answers(self) -> bool:
        """Whether the store on the recorded port is the one of this folder and has read its file."""
        recorded = self._recorded()
        folder = str(self.data_dir).encode()
        return recorded is not None and folder in _ask(recorded[1], b"CONFIG GET dir\r\n")

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / "valkey.pid"


def _ask(port: int, command: bytes) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(command)
            return connection.recv(4096)
    except OSError:
        return b""
