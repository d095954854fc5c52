"""Reads a lock file, and says what is wrong with it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.*))?$")


@dataclass(frozen=True)
class Pin:
    """One locked package; `marker` says on which systems it is installed, empty for all."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def pins(text: str) -> list[Pin]:
    """The packages of a lock file in order. Raises ValueError for a line that is none."""
    return [_pin(line) for line in _requirements(text)]


def faults(text: str) -> list[str]:
    """What keeps the lock from being installed anywhere with the same bytes; empty when nothing does."""
    return [
        *(f"names a host: {line.strip()}" for line in text.splitlines() if "://" in line),
        *(f"has an option: {line}" for line in text.splitlines() if line.startswith("-")),
        *(f"no hash: {pin.name}" for pin in pins(text) if not pin.hashes),
    ]


def unmet(text: str, wanted: list[str]) -> list[str]:
    """Those of the requirements that the lock does not satisfy."""
    locked: dict[str, list[Version]] = {}
    for pin in pins(text):
        locked.setdefault(canonicalize_name(pin.name), []).append(Version(pin.version))
    return [line for line in wanted if not _satisfied(Requirement(line), locked)]


def _satisfied(wanted: Requirement, locked: dict[str, list[Version]]) -> bool:
    versions = locked.get(canonicalize_name(wanted.name), [])
    return bool(versions) and all(wanted.specifier.contains(version, prereleases=True) for version in versions)


def _requirements(text: str) -> Iterator[str]:
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\s*\\\n\s*", " ", kept).splitlines():
        if line.strip() and not line.startswith("-"):
            yield line.strip()


def _pin(line: str) -> Pin:
    requirement, *hashes = re.split(r"\s+--hash=", line)
    match = PIN.match(requirement.strip())
    if match is None:
        raise ValueError(f"not a pinned package: {line}")
    return Pin(match["name"], match["version"], match["marker"] or "", tuple(hashes))
