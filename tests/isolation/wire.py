"""What stands between a pool and Postgres in tests: a relay that counts round trips, and a PgBouncer of our own."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


@dataclass
class Trips:
    """How often the client spoke after the server had."""

    count: int = 0
    is_clients_turn: bool = True


def at(url: str, port: int) -> str:
    """The same URL on another port of this machine."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"))


@asynccontextmanager
async def counted(url: str) -> AsyncIterator[tuple[str, Trips]]:
    """A URL through a relay, and its count of round trips."""
    trips, target = Trips(), urlsplit(url)

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_client: bool) -> None:
        while data := await reader.read(65536):
            trips.count += is_client and trips.is_clients_turn
            trips.is_clients_turn = not is_client
            writer.write(data)
            await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(speak(reader, server_writer, True), speak(server_reader, writer, False))

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        yield at(url, server.sockets[0].getsockname()[1]), trips
    finally:
        server.close()


@contextmanager
def pgbouncer(url: str, folder: Path, size: int = 1) -> Iterator[str]:
    """A URL through a PgBouncer in transaction mode that has `size` connections in all."""
    parts, port = urlsplit(url), _free_port()
    folder.chmod(0o755)
    (folder / "users.txt").write_text(f'"{parts.username}" "{unquote(parts.password or "")}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={parts.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = plain\n"
        f"auth_file = {folder}/users.txt\npool_mode = transaction\ndefault_pool_size = {size}\nmax_client_conn = 200\n"
        "ignore_startup_parameters = extra_float_digits\n"
    )
    command = [str(PGBOUNCER), "-q", str(folder / "pgbouncer.ini")]
    if os.geteuid() == 0:
        command[1:1] = ["-u", "nobody"]
    process = subprocess.Popen(command)
    try:
        _wait(port, process)
        yield at(url, port)
    finally:
        process.terminate()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("PgBouncer did not start")
