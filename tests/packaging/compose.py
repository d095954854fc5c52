"""Reads docker-compose.yml as compose does: merge keys, then `${NAME:-default}` and `${NAME:?message}`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from settings import ROOT

FILE = ROOT / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")

Service = dict[str, Any]


class MissingVariable(Exception):
    """A variable that must be given is not; the text is the file's own message."""


def load(environment: Mapping[str, str], file: Path = FILE) -> dict[str, Any]:
    """The composition with every variable filled in. Raises MissingVariable."""
    composition: dict[str, Any] = _filled(yaml.safe_load(file.read_text()), environment)
    return composition


def variables(file: Path = FILE) -> dict[str, re.Match[str]]:
    """Every variable that the file reads, with one place where it does."""
    return {match["name"]: match for match in VARIABLE.finditer(file.read_text())}


def required(file: Path = FILE) -> set[str]:
    """The variables without which compose refuses to start."""
    return {name for name, match in variables(file).items() if match["kind"] == "?"}


def _filled(node: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, environment) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, environment) for value in node]
    if isinstance(node, str):
        return VARIABLE.sub(lambda match: _value(match, environment), node)
    return node


def _value(match: re.Match[str], environment: Mapping[str, str]) -> str:
    given = environment.get(match["name"], "")
    if not given and match["kind"] == "?":
        raise MissingVariable(match["rest"])
    return given or (match["rest"] or "")
