"""Embedded servers start, repair themselves, keep their data, and leave nothing behind."""

import itertools
import os
import signal
import socket
import threading
from pathlib import Path

import psycopg
import pytest
import redis

from cli.embedded import EmbeddedPostgres, EmbeddedValkey, ServerError
from cli.embedded.ports import free_port
from cli.embedded.postgres import NO_PROCESS
from tests.cli.programs import eventually, is_gone, python

HOLD_BOTH = """
import signal, sys, pathlib
from cli.embedded import EmbeddedPostgres, EmbeddedValkey
folder = pathlib.Path(sys.argv[1])
postgres, valkey = EmbeddedPostgres(folder / "postgres", durable=False), EmbeddedValkey(folder / "valkey")
postgres.start(), valkey.start()
print(postgres.pid, valkey.pid, postgres.port, flush=True)
signal.pause()
"""


def ask(postgres: EmbeddedPostgres, statement: str) -> object:
    with psycopg.connect(postgres.superuser_url(), autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone() if statement.startswith("select") else None
        if not statement.startswith("select"):
            connection.execute(statement.encode())
    return row[0] if row else None


def test_postgres_answers_and_keeps_its_data_and_port(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        ask(postgres, "create table kept as select 1 as one")
        first = postgres.port
    with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        assert ask(postgres, "select one from kept") == 1
        assert postgres.port == first
        assert ask(postgres, "select current_setting('fsync')") == "on"


def test_postgres_takes_passwords_only_over_the_loopback(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "postgres", durable=False) as postgres:
        assert ask(postgres, "select current_setting('listen_addresses')") == "127.0.0.1"
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://postgres:wrong@127.0.0.1:{postgres.port}/postgres")


@pytest.mark.parametrize("server", [EmbeddedPostgres, EmbeddedValkey])
def test_a_killed_server_comes_back_on_the_same_port(
    tmp_path: Path, server: type[EmbeddedPostgres] | type[EmbeddedValkey]
) -> None:
    with server(tmp_path / "server", durable=False) as running:
        port, pid = running.port, running.pid
        running.kill()
        assert not running.alive
        running.start()
        assert running.port == port
        assert running.pid != pid


def test_valkey_keeps_what_was_written_before_a_kill(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path / "valkey") as valkey:
        with redis.Redis.from_url(valkey.url) as client:
            client.set("kept", "yes")
        valkey.kill()
        valkey.start()
        with redis.Redis.from_url(valkey.url) as client:
            assert client.get("kept") == b"yes"


def test_a_second_start_adopts_the_running_server_and_leaves_it_running(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "postgres", durable=False) as owner:
        with EmbeddedPostgres(tmp_path / "postgres", durable=False) as second:
            assert (second.pid, second.port) == (owner.pid, owner.port)
        assert owner.alive
        assert ask(owner, "select 1") == 1


def test_starts_in_two_processes_at_once_make_one_server(tmp_path: Path) -> None:
    holders = [python(HOLD_BOTH, str(tmp_path)) for _ in range(3)]
    try:
        told = {holder.stdout.readline() for holder in holders if holder.stdout}
        assert len(told) == 1
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()
            assert holder.stdout
            holder.stdout.close()


def test_nothing_is_left_when_the_owner_is_killed(tmp_path: Path) -> None:
    holder = python(HOLD_BOTH, str(tmp_path))
    assert holder.stdout
    postgres_pid, valkey_pid, port = map(int, holder.stdout.readline().split())
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    eventually(lambda: is_gone(postgres_pid) and is_gone(valkey_pid))
    assert "database system is shut down" in (tmp_path / "postgres" / "log").read_text()
    with EmbeddedPostgres(tmp_path / "postgres", durable=False) as postgres:
        assert postgres.port == port


def test_a_start_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    (folder / "cluster.new" / "base").mkdir(parents=True)
    (folder / "cluster.new" / "PG_VERSION").write_text("18\n")
    (folder / "cluster.new-password").mkdir()
    with EmbeddedPostgres(folder, durable=False) as postgres:
        assert ask(postgres, "select 1") == 1
    assert not list(folder.glob("cluster.new*"))


def test_a_half_initialised_cluster_is_set_aside(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    (folder / "cluster" / "base").mkdir(parents=True)
    (folder / "cluster" / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(folder, durable=False) as postgres:
        assert ask(postgres, "select 1") == 1
    assert [path.name for path in folder.glob("cluster.broken-*/*")] != []


def test_a_process_id_that_now_belongs_to_another_program_does_not_block(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "postgres", durable=False) as postgres:
        lines = (postgres.cluster / "postmaster.pid").read_text().splitlines()
    (postgres.cluster / "postmaster.pid").write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
    with postgres:
        assert ask(postgres, "select 1") == 1


def test_a_server_is_ready_when_one_reading_of_its_lock_file_says_so(tmp_path: Path) -> None:
    """While a server starts, the file that the last one left is replaced: half of each must not make a ready server."""
    with EmbeddedPostgres(tmp_path / "postgres", durable=False) as postgres:
        path = postgres.cluster / "postmaster.pid"
        ready = path.read_text()
        states = [ready.replace(str(postgres.pid), str(NO_PROCESS), 1), ready.replace("ready", "starting")]
        replace(path, states[0])
        stopped = threading.Event()
        turning = threading.Thread(target=turn, args=(path, states, stopped))
        turning.start()
        try:
            told = {postgres._answers() for _ in range(5_000)}
        finally:
            stopped.set()
            turning.join()
            replace(path, ready)
        assert told == {False}
        assert postgres._answers()


def turn(path: Path, states: list[str], stopped: threading.Event) -> None:
    for state in itertools.cycle(states):
        replace(path, state)
        if stopped.is_set():
            return


def replace(path: Path, text: str) -> None:
    beside = path.with_name("beside")
    beside.write_text(text)
    beside.replace(path)


def test_a_fixed_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} is in use"):
            EmbeddedPostgres(tmp_path / "postgres", port=port, durable=False).start()


def test_a_remembered_port_in_use_is_replaced(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path / "valkey", durable=False) as valkey:
        port = valkey.port
    with socket.create_server(("127.0.0.1", port)), EmbeddedValkey(tmp_path / "valkey", durable=False) as valkey:
        assert valkey.port != port


def test_a_broken_configuration_is_a_sentence_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"PostgreSQL did not start: .*no_such_setting"):
        EmbeddedPostgres(tmp_path / "postgres", durable=False, settings={"no_such_setting": "1"}).start()


def test_a_lost_superuser_password_is_a_sentence(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "postgres", durable=False) as postgres:
        pass
    (tmp_path / "postgres" / "password").unlink()
    with pytest.raises(ServerError, match="password is lost"), postgres:
        postgres.superuser_url()


def test_a_wrong_pg_bindir_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BINDIR", str(tmp_path))
    with pytest.raises(Exception, match=r"PG_BINDIR is .* no `initdb`"):
        EmbeddedPostgres(tmp_path / "postgres").start()


def test_free_ports_lie_below_those_of_outgoing_connections() -> None:
    ephemeral = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(ephemeral.read_text().split()[0]) if ephemeral.exists() else 49_152
    assert all(free_port() < lowest for _ in range(20))
