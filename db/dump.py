"""Runs pg_dump under row security and takes its output apart into tables while it runs."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import UUID

from db.organization_life import LifeError

_COPY = re.compile(rb"COPY ([\w.\"]+) \((.+)\) FROM stdin;\n")


class Dump:
    """pg_dump as the role of `url`, inside one organization and in the snapshot of another connection."""

    def __init__(self, url: str, organization_id: UUID, program: Path, snapshot: str) -> None:
        parts = urlsplit(url)
        address = urlunsplit(parts._replace(netloc=f"{parts.username}@{parts.netloc.rpartition('@')[2]}"))
        self._command = [
            str(program), f"--dbname={address}", "--data-only", "--enable-row-security", f"--snapshot={snapshot}",
        ]  # fmt: skip
        # The password goes here, because everybody can read a command line.
        self._environment = os.environ | {"PGOPTIONS": f"-c app.current_org_id={organization_id}"}
        if parts.password:
            self._environment["PGPASSWORD"] = unquote(parts.password)

    def tables(self, names: list[str]) -> Iterator[tuple[str, list[str], Iterator[bytes]]]:
        """Table, columns and lines of each; the lines are to be read before the next table. Raises LifeError."""
        command = [*self._command, *(f"--table={name}" for name in names)]
        with subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as dump:
            if dump.stdout is None or dump.stderr is None:
                raise LifeError("pg_dump has no output.")
            for line in dump.stdout:
                begun = _COPY.fullmatch(line)
                if begun:
                    yield _plain(begun[1]), [_plain(name) for name in begun[2].split(b", ")], _lines(dump.stdout)
            trouble = dump.stderr.read().decode(errors="replace").strip()
        if dump.returncode:
            raise LifeError(f"pg_dump failed: {trouble}")


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    for line in stream:
        if line == b"\\.\n":
            return
        yield line


def _plain(name: bytes) -> str:
    return name.decode().replace('"', "")
