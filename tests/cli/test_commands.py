"""The table of sub-commands: help for people, sentences for mistakes, exit codes for scripts."""

import time
from pathlib import Path

import pytest

from cli.app import COMMANDS, GROUPS, overview
from settings import ROOT
from tests.cli.programs import environment, mts


def test_help_names_every_command_on_a_line_of_its_own() -> None:
    lines = overview().splitlines()
    for command in COMMANDS.values():
        assert any(line.split()[:1] == [command.name] and command.summary in line for line in lines)
    assert max(map(len, lines)) <= 100
    assert all(group in lines for group in GROUPS)


def test_every_command_named_in_the_table_is_there() -> None:
    missing = [command.module for command in COMMANDS.values() if not _file(command.module).exists()]
    assert missing == []


def test_help_is_quick_and_loads_no_libraries() -> None:
    taken = []
    for _ in range(3):
        begin = time.monotonic()
        answer = mts("--help")
        taken.append(time.monotonic() - begin)
        assert answer.returncode == 0
        assert "mts dev" in answer.stdout
    assert min(taken) < 1, "the quickest of three: the others may have waited for a processor"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_explains_itself(name: str) -> None:
    answer = mts(name, "--help")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith(f"usage: mts {name}")
    assert len(answer.stdout.splitlines()) > 3


def test_without_a_command_the_help_is_shown_and_the_exit_code_says_so() -> None:
    assert (mts().returncode, mts().stdout) == (2, mts("--help").stdout)


def test_an_unknown_command_is_a_sentence() -> None:
    answer = mts("develop")
    assert (answer.returncode, answer.stderr) == (2, "mts: there is no command 'develop'. `mts --help` lists them.\n")


def test_an_unknown_argument_is_refused() -> None:
    answer = mts("doctor", "--fast")
    assert (answer.returncode, "unknown arguments: --fast" in answer.stderr) == (2, True)


@pytest.mark.parametrize("command", ["dev", "serve", "worker"])
def test_every_wrong_setting_is_named_with_what_is_expected_and_never_its_value(command: str, tmp_path: Path) -> None:
    wrong = {"PORT": "eighty", "JWT_SECRET": "hunter2", "BASE_URL": "nowhere", "DATA_DIR": str(tmp_path)}
    answer = mts(command, env=environment(**wrong))
    assert answer.returncode == 2
    for name in ("PORT: ", "JWT_SECRET: ", "BASE_URL: "):
        assert name in answer.stderr
    assert "Expected: secret of at least 32 characters" in answer.stderr
    assert "hunter2" not in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_outside_dev_no_secret_has_a_default(command: str) -> None:
    answer = mts(command, env=environment())
    assert answer.returncode == 2
    for name in ("DATABASE_URL", "REDIS_URL", "SMTP_URL", "JWT_SECRET"):
        assert f"{name}: " in answer.stderr


@pytest.mark.parametrize("command", [("psql", "api"), ("doctor",), ("migrate", "status")])
def test_where_nothing_runs_the_way_to_start_is_told(command: tuple[str, ...], tmp_path: Path) -> None:
    answer = mts(*command, env=environment(DATA_DIR=str(tmp_path)))
    assert answer.returncode == 2
    assert "./mts dev" in answer.stderr
    assert "DATABASE_URL" in answer.stderr


def test_a_url_of_another_role_is_refused(tmp_path: Path) -> None:
    given = environment(DATA_DIR=str(tmp_path), DATABASE_URL="postgresql://app_api:x@127.0.0.1:1/mts")
    answer = mts("migrate", "up", env=given)
    assert (answer.returncode, "DATABASE_URL logs in as app_api, and this needs app_migrator" in answer.stderr) == (
        2,
        True,
    )


def test_an_unknown_role_lists_the_known_ones() -> None:
    answer = mts("psql", "admin")
    assert answer.returncode == 2
    assert "app_auditor" in answer.stderr


def test_doctor_names_each_part_that_is_away_and_what_to_do(tmp_path: Path) -> None:
    away = {
        "DATABASE_URL": "postgresql://app_api:x@127.0.0.1:1/mts",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "SMTP_URL": "smtp://127.0.0.1:1",
        "JWT_SECRET": "s" * 32,
    }
    answer = mts("doctor", env=environment(DATA_DIR=str(tmp_path), **away))
    assert answer.returncode == 1
    for told in ("✗ Postgres", "Check DATABASE_URL", "✗ Redis", "correct REDIS_URL", "✗ Mail", "correct SMTP_URL"):
        assert told in answer.stdout
    assert "· Stripe" in answer.stdout
    assert "Traceback" not in answer.stdout + answer.stderr


def test_doctor_names_every_wrong_setting(tmp_path: Path) -> None:
    wrong = {"DATABASE_URL": "postgresql://app_api:x@127.0.0.1:1/mts", "PORT": "0", "DATA_DIR": str(tmp_path)}
    answer = mts("doctor", env=environment(**wrong))
    assert answer.returncode == 1
    assert "✗ Settings     PORT: " in answer.stdout
    assert "✗ Settings     JWT_SECRET: " in answer.stdout


def _file(module: str) -> Path:
    return ROOT / f"{module.replace('.', '/')}.py"
