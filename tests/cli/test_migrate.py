"""`mts migrate` prepares a production database from nothing, and is safe to repeat and to run twice at once."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cli.embedded import EmbeddedPostgres
from db.bootstrap import LOGIN_ROLES, role_url
from tests.cli.programs import environment, mts


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server without any of our roles."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("migrate") / "postgres", durable=False) as server:
        yield server


def deployment(postgres: EmbeddedPostgres, database: str) -> dict[str, str]:
    """The environment of a `migrate` container."""
    passwords = {f"{role.upper()}_PASSWORD": f"{role}-password" for role in LOGIN_ROLES}
    url = role_url(postgres.superuser_url(), database, "app_migrator", "app_migrator-password")
    return environment(ADMIN_DATABASE_URL=postgres.superuser_url(), DATABASE_URL=url, **passwords)


def test_two_runs_at_once_prepare_an_empty_server(postgres: EmbeddedPostgres) -> None:
    command = [sys.executable, "-P", "-m", "cli", "migrate", "up"]
    env = deployment(postgres, "fresh")
    runs = [subprocess.Popen(command, env=env, cwd="/", stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sorted(re.search(r"\b0 applied", answer) is not None for answer in answers) == [False, True]


def test_status_tells_what_waits(postgres: EmbeddedPostgres) -> None:
    env = deployment(postgres, "statuses")
    assert mts("migrate", "bootstrap", env=env).returncode == 0
    before = mts("migrate", "status", env=env)
    assert (before.returncode, "run `mts migrate up`" in before.stdout) == (1, True)
    assert mts("migrate", env=env).returncode == 0
    assert mts("migrate", "status", env=env).returncode == 0


def test_the_last_migration_can_be_taken_back_and_applied_again(postgres: EmbeddedPostgres) -> None:
    env = deployment(postgres, "back")
    assert mts("migrate", "up", env=env).returncode == 0
    assert "taken back" in mts("migrate", "down", env=env).stdout
    assert "1 applied" in mts("migrate", "up", env=env).stdout
    assert mts("migrate", "down", "--steps", "0", env=env).returncode == 2


def test_a_role_that_a_release_brings_is_asked_for(postgres: EmbeddedPostgres) -> None:
    env = deployment(postgres, "older")
    assert mts("migrate", "bootstrap", env=env).returncode == 0
    alone = env | {"ADMIN_DATABASE_URL": ""}
    with psycopg.connect(postgres.superuser_url(), autocommit=True) as conn:
        conn.execute("alter role app_responder rename to away")
        answer = mts("migrate", "up", env=alone)
        conn.execute("alter role away rename to app_responder")
    assert answer.returncode == 1
    assert "Not there: app_responder. Run `mts migrate bootstrap`" in answer.stderr
    assert mts("migrate", "up", env=alone).returncode == 0


def test_a_missing_password_is_named(postgres: EmbeddedPostgres) -> None:
    env = deployment(postgres, "missing")
    del env["APP_API_PASSWORD"]
    answer = mts("migrate", "up", env=env)
    assert (answer.returncode, "APP_API_PASSWORD is not set" in answer.stderr) == (2, True)


def test_a_server_that_is_away_is_a_sentence(tmp_path: Path) -> None:
    env = environment(DATABASE_URL="postgresql://app_migrator:x@127.0.0.1:1/mts", DATA_DIR=str(tmp_path))
    answer = mts("migrate", "up", env=env)
    assert answer.returncode == 1
    assert answer.stderr.startswith("The database refuses")
    assert "Traceback" not in answer.stderr
