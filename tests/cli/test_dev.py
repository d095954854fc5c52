"""`mts dev` runs everything with one command, survives the death of any part, and leaves nothing behind."""

import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.embedded import EmbeddedPostgres, EmbeddedValkey
from cli.embedded.ports import free_port
from tests.cli.development import Development
from tests.cli.programs import environment, eventually, mts


@pytest.fixture(scope="module")
def development(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    """One `mts dev` for the tests that leave it running."""
    with Development(tmp_path_factory.mktemp("dev") / "data", WORKERS="2") as running:
        yield running


def test_it_tells_where_everything_is(development: Development) -> None:
    port = development.settings["PORT"]
    for told in (f"http://127.0.0.1:{port}", "Mail ", "Payments", "./mts psql ROLE", "Ctrl-C"):
        assert told in development.output.partition("Ready in")[2]
    assert "Traceback" not in development.output
    assert development.is_healthy()


def test_its_state_and_its_secrets_are_for_their_owner_only(development: Development) -> None:
    for name in ("dev.json", "secrets.json"):
        assert stat.S_IMODE((development.folder / name).stat().st_mode) == 0o600


def test_each_process_has_its_own_role(development: Development) -> None:
    for role in ("api", "worker", "migrator", "auditor", "exporter"):
        answer = mts("psql", role, "-Atc", "select current_user", env=development.environment)
        assert answer.stdout.strip() == f"app_{role}"
    assert "DATABASE_URL" not in development.state["environment"]


def test_psql_prints_the_url_of_a_role(development: Development) -> None:
    printed = mts("psql", "api", "--url", env=development.environment).stdout.strip()
    assert printed == development.state["database_urls"]["app_api"]
    assert printed.startswith("postgresql://app_api:")


def test_doctor_is_content(development: Development) -> None:
    answer = mts("doctor", env=development.environment)
    assert answer.returncode == 0, answer.stdout
    assert "✗" not in answer.stdout
    assert "All is well." in answer.stdout


def test_migrate_finds_the_running_instance(development: Development) -> None:
    answer = mts("migrate", "status", env=development.environment)
    assert (answer.returncode, "Up to date." in answer.stdout) == (0, True)


@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize("role", ["superuser", "app_migrator"])
def test_no_process_starts_with_a_role_above_row_security(development: Development, command: str, role: str) -> None:
    state = development.state
    settings = {**state["environment"], "DATABASE_URL": state["database_urls"][role], "PORT": str(free_port())}
    answer = mts(command, env=environment(**settings))
    assert answer.returncode == 1
    assert answer.stderr.startswith("Refusing to start: ")
    assert "connect as app_api or app_worker" in answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr


def test_serve_names_a_port_that_is_in_use(development: Development) -> None:
    state = development.state
    settings = {**state["environment"], "DATABASE_URL": state["database_urls"]["app_api"]}
    answer = mts("serve", env=environment(**settings))
    assert (answer.returncode, f"Port {development.settings['PORT']} is in use" in answer.stderr) == (1, True)


def test_a_second_one_on_the_same_folder_says_which_one_runs(development: Development) -> None:
    answer = mts("dev", env=development.environment)
    assert answer.returncode == 1
    assert f"process {development.process.pid}" in answer.stderr
    assert development.is_healthy()


def test_a_second_one_beside_it_wants_another_port(development: Development, tmp_path: Path) -> None:
    answer = mts("dev", env={**development.environment, "DATA_DIR": str(tmp_path / "other")})
    assert answer.returncode == 1
    assert f"Port {development.settings['PORT']} is in use" in answer.stderr
    assert "PORT=" in answer.stderr


@pytest.mark.parametrize("name", ["worker", "api", "sandbox", "valkey", "postgresql"])
def test_what_is_killed_comes_back(development: Development, name: str) -> None:
    before = development.output
    development.kill(name)
    eventually(development.is_healthy, 30)
    said = development.output.removeprefix(before)
    assert "starting it again" in said
    if name in ("worker", "api", "sandbox"):
        assert f"{name:<10} │ ended by signal SIGKILL" in said


def test_two_run_side_by_side_and_a_clean_stop_keeps_the_data(development: Development, tmp_path: Path) -> None:
    with Development(tmp_path / "data") as second:
        assert second.is_healthy()
        mts("psql", "superuser", "-c", "comment on database mts is 'kept'", env=second.environment)
        pids = second.pids
        assert second.stop() == 0
        assert second.everything_is_gone(pids)
        assert not (second.folder / "dev.json").exists()
        assert "Stopped. The data stay in" in second.output
        second.start()
        assert second.state["database_urls"]["app_api"]
        ask = "select shobj_description(oid, 'pg_database') from pg_database where datname = 'mts'"
        assert mts("psql", "superuser", "-Atc", ask, env=second.environment).stdout == "kept\n"
    assert development.is_healthy()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_kill_leaves_nothing_running_and_the_next_start_repairs_itself(tmp_path: Path, workers: str) -> None:
    with Development(tmp_path / "data", WORKERS=workers) as killed:
        pids = killed.pids
        killed.stop(signal.SIGKILL)
        eventually(lambda: killed.everything_is_gone(pids), 20)
        assert (killed.folder / "dev.json").exists()
        stale = mts("psql", "api", "--url", env=killed.environment)
        assert (stale.returncode, "does not run" in stale.stderr) == (2, True)
        killed.start()
        assert killed.is_healthy()
        assert killed.stop(signal.SIGTERM) == 0


def test_given_servers_are_used_instead_of_embedded_ones(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as mail,
        EmbeddedPostgres(tmp_path / "postgres", durable=False) as postgres,
        EmbeddedValkey(tmp_path / "valkey", durable=False) as valkey,
        Development(
            tmp_path / "data",
            DATABASE_URL=postgres.superuser_url("given"),
            REDIS_URL=valkey.url,
            SMTP_URL=f"smtp://127.0.0.1:{mail.getsockname()[1]}",
            STRIPE_SECRET_KEY="sk_test_given",
            STRIPE_WEBHOOK_SECRET="whsec_given",
        ) as running,
    ):
        assert sorted(running.pids) == ["api", "sandbox", "worker"]
        assert not (running.folder / "postgres").exists()
        assert running.state["database"] == "given"
        assert running.state["environment"]["STRIPE_SECRET_KEY"] == "sk_test_given"
        assert "STRIPE_API_BASE" not in running.state["environment"]
        assert running.state["environment"]["PAYSTACK_API_BASE"] == running.state["sandbox"]["paystack"]
        assert "Mail " not in running.output
        assert running.is_healthy()
        answer = mts("psql", "auditor", "-Atc", "select current_user", env=running.environment)
        assert answer.stdout.strip() == "app_auditor"


@pytest.mark.parametrize(("name", "scheme"), [("REDIS_URL", "redis"), ("SMTP_URL", "smtp")])
def test_a_given_server_that_is_away_is_a_sentence(tmp_path: Path, name: str, scheme: str) -> None:
    answer = mts("dev", env=Development(tmp_path / "data", **{name: f"{scheme}://127.0.0.1:1"}).environment)
    assert answer.returncode == 1
    assert f"{name}: nothing answers at 127.0.0.1:1" in answer.stderr
    assert f"unset {name}" in answer.stderr


def test_a_database_that_does_not_answer_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    development = Development(tmp_path / "data", DATABASE_URL=f"postgresql://postgres:x@127.0.0.1:{port}/mts")
    answer = mts("dev", env=development.environment)
    assert answer.returncode == 1
    assert f"127.0.0.1:{port} cannot be prepared as postgres" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = mts("dev", env={**os.environ, **Development(tmp_path / "file" / "data").environment})
    assert answer.returncode == 1
    assert "DATA_DIR" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_broken_secrets_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secrets.json").write_text("{")
    answer = mts("dev", env=Development(tmp_path / "data").environment)
    assert (answer.returncode, "secrets.json is not valid JSON" in answer.stderr) == (1, True)
