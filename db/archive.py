"""The file that holds one organization: a zip of manifest.json and one member of COPY's text lines for each table."""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

FORMAT_VERSION = 1
_BLOCK = 1 << 20


class ArchiveError(Exception):
    """The file is no archive of ours, or was damaged or changed; the text says where."""


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one table: its columns in the lines' order, how many lines, and their SHA-256 in hex."""

    table: str
    columns: list[str]
    rows: int
    sha256: str


@dataclass(slots=True)
class Manifest:
    """What an archive says of itself; `migrations` is the SHA-256 over the applied migrations' names and texts."""

    organization_id: str
    organization_name: str
    created_at: str
    operator: str
    migrations: str
    last_migration: str
    chain_position: int
    chain_hash: str
    usage_months: list[str] = field(default_factory=list)
    not_exported: list[str] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    format_version: int = FORMAT_VERSION

    @property
    def counts(self) -> dict[str, int]:
        """Rows by table."""
        return {part.table: part.rows for part in self.parts}


class ArchiveWriter:
    """An archive that is being written."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file

    def add(self, table: str, columns: list[str], blocks: Iterable[bytes | bytearray | memoryview]) -> Part:
        """Write a table's lines as they come; every row is one line, since COPY escapes line feeds."""
        digest, rows = hashlib.sha256(), 0
        with self._file.open(f"rows/{table}", "w", force_zip64=True) as member:
            for block in blocks:
                digest.update(block)
                rows += bytes(block).count(b"\n")
                member.write(block)
        return Part(table, columns, rows, digest.hexdigest())

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest."""
        self._file.writestr("manifest.json", json.dumps(asdict(manifest), indent=2))


@contextmanager
def writing(path: Path) -> Iterator[ArchiveWriter]:
    """A new archive, for its owner's eyes alone (0600); under its name it exists whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                yield ArchiveWriter(archive)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


class ArchiveReader:
    """An archive that is read; its manifest was understood."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self.manifest = _manifest(file)

    def blocks(self, part: Part) -> Iterator[bytes]:
        """The lines of a table. Raises ArchiveError at their end when they are not those that were written."""
        digest = hashlib.sha256()
        with self._file.open(f"rows/{part.table}") as member:
            while block := member.read(_BLOCK):
                digest.update(block)
                yield block
        if digest.hexdigest() != part.sha256:
            raise ArchiveError(f"The rows of {part.table} are not those that were exported.")


@contextmanager
def reading(path: Path) -> Iterator[ArchiveReader]:
    """Open an archive. Raises ArchiveError when it is none, OSError when it cannot be read."""
    try:
        with zipfile.ZipFile(path) as file:
            yield ArchiveReader(file)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise ArchiveError(f"{path} is no whole archive of an organization: {error}") from error


def _manifest(file: zipfile.ZipFile) -> Manifest:
    content = json.loads(file.read("manifest.json"))
    if content.get("format_version") != FORMAT_VERSION:
        raise ArchiveError(f"Format {content.get('format_version')} is not {FORMAT_VERSION}, which this release reads.")
    manifest = Manifest(**content)
    manifest.parts = [Part(**part) for part in content["parts"]]
    return manifest
