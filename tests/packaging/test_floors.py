"""The floors import downwards only, and each guard of that is proven by breaking it."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from settings import ROOT

FLOORS = ("cli", "api", "jobs", "db")
DOWNWARDS = "Floors import downwards only: cli, api, jobs, db"
STORES = "Only db talks to Postgres and Redis"
WORLD = "Only jobs.providers talks to the outside"

FORBIDDEN = [
    ("db/errors.py", "import jobs", DOWNWARDS),
    ("db/errors.py", "from api import errors as upstairs", DOWNWARDS),
    ("jobs/__init__.py", "def late():\n    import api.errors", DOWNWARDS),
    ("api/errors.py", "import cli.app", DOWNWARDS),
    ("api/errors.py", "import asyncpg", STORES),
    ("jobs/__init__.py", "from redis.asyncio import Redis", STORES),
    ("cli/errors.py", "import aiosql", STORES),
    ("api/errors.py", "import httpx", WORLD),
    ("db/errors.py", "from stripe import StripeClient", WORLD),
    ("jobs/__init__.py", "import aiosmtplib", WORLD),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The floors as they are, in a folder where they may be broken."""
    for floor in FLOORS:
        shutil.copytree(ROOT / floor, tmp_path / floor, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("settings.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_the_floors_as_they_are_keep_every_contract(copy: Path) -> None:
    passed, said = _check_imports(copy)
    assert passed, said


@pytest.mark.parametrize(("file", "line", "contract"), FORBIDDEN)
def test_a_forbidden_import_is_caught(copy: Path, file: str, line: str, contract: str) -> None:
    with (copy / file).open("a") as module:
        module.write(f"\n{line}\n")
    passed, said = _check_imports(copy)
    assert not passed
    assert f"{contract} BROKEN" in said


def test_the_settings_import_no_floor() -> None:
    assert _floors_imported((ROOT / "settings.py").read_text()) == set()
    assert _floors_imported("from db.types import Money\nimport api.errors\nimport json") == {"db", "api"}


def _check_imports(folder: Path) -> tuple[bool, str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    ended = subprocess.run(
        command, cwd=folder, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    return ended.returncode == 0, ended.stdout + ended.stderr


def _floors_imported(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names & set(FLOORS)
