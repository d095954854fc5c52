"""Real `mts serve` processes for tests and measurements, and raw HTTP/1.1 over sockets to load them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from cli.embedded.ports import free_port
from settings import ROOT

START_SECONDS = 40.0
JWT_SECRET = "a test's secret of 32 characters"


@dataclass
class Served:
    """A running server, in a session of its own so that all of its processes can be killed at once."""

    process: "subprocess.Popen[bytes]"
    port: int

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """kill -9 for the supervisor and every worker process in the same moment."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def environment(database_url: str, redis_url: str, **others: str) -> dict[str, str]:
    """The settings of a server over these stores."""
    return {
        "DATABASE_URL": database_url, "REDIS_URL": redis_url, "SMTP_URL": "smtp://127.0.0.1:9",
        "JWT_SECRET": JWT_SECRET, "LOG_LEVEL": "warning", "TRUSTED_PROXIES": "127.0.0.0/8", **others,
    }  # fmt: skip


@contextmanager
def served(settings: Mapping[str, str], command: tuple[str, ...] = ("-m", "cli", "serve")) -> Iterator[Served]:
    """A server for the block; it answers /livez when the block begins."""
    port = free_port()
    own = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PORT": str(port), **settings}
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=own, start_new_session=True)
    running = Served(process, port)
    try:
        _wait(running)
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _wait(running: Served) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert running.process.poll() is None, "the server ended while it started"
        try:
            if httpx.get(f"{running.url}/livez").status_code in (200, 404):
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the server did not start")


@dataclass
class Load:
    """Connections that send one request after the other: whole answers that came, by status."""

    port: int
    request: bytes
    connections: int
    answers: dict[int, int] = field(default_factory=dict)
    stopping: bool = False
    _wanted: int = 1 << 62
    _enough: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def answered(self) -> int:
        """Whole answers in all."""
        return sum(self.answers.values())

    async def run(self) -> None:
        """Send until told to stop, or until the server is gone."""
        await asyncio.gather(*(self._one() for _ in range(self.connections)))

    async def reaches(self, count: int) -> None:
        """Return once so many answers have come."""
        self._wanted = count
        await self._enough.wait()

    async def _one(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            while not self.stopping:
                writer.write(self.request)
                status = await read_answer(reader)
                self.answers[status] = self.answers.get(status, 0) + 1
                if self.answered >= self._wanted:
                    self._enough.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


async def read_answer(reader: asyncio.StreamReader) -> int:
    """The status of the next answer, once all of it is here. Raises IncompleteReadError when it is cut off."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    begin = lower.index(b"content-length: ") + 16
    await reader.readexactly(int(lower[begin : lower.index(b"\r\n", begin)]))
    return int(head[9:12])


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A request as it travels."""
    lines = [f"{method} {path} HTTP/1.1", "Host: mts", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
