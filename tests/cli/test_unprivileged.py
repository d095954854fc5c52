"""PostgreSQL starts whoever we are: an ordinary user, one without a name, root, root where nobody else may enter."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cli.embedded import EmbeddedPostgres, guard, unprivileged
from cli.embedded.binaries import postgres_folder
from cli.embedded.process import LIBC
from cli.errors import CommandError
from tests.cli.programs import eventually, is_gone

PR_SET_DUMPABLE = 4
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def private_folder() -> Iterator[Path]:
    """A folder that only its owner may enter."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def owner_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def answers(postgres: EmbeddedPostgres) -> bool:
    with psycopg.connect(postgres.superuser_url()) as connection:
        return connection.execute("select 1").fetchone() == (1,)


@AS_ROOT
def test_root_starts_it_as_somebody_else(open_folder: Path) -> None:
    with EmbeddedPostgres(open_folder / "postgres", durable=False) as postgres:
        assert owner_of(postgres.pid) != 0


@AS_ROOT
def test_root_starts_it_in_a_folder_that_nobody_else_may_enter(private_folder: Path) -> None:
    assert private_folder.stat().st_mode & 0o077 == 0
    with EmbeddedPostgres(private_folder / "postgres", durable=False) as postgres:
        assert answers(postgres)


@AS_ROOT
@pytest.mark.parametrize("way", ["namespace", "capability"])
@pytest.mark.parametrize("programs", ["reachable", "private"])
def test_each_way_past_closed_folders_works_by_itself(
    private_folder: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch, way: str, programs: str
) -> None:
    monkeypatch.setattr("cli.embedded.public_copy.PLACES", (str(open_folder),))
    if programs == "private":
        monkeypatch.setenv("PG_BINDIR", str(_private_programs(private_folder)))
    every_way = unprivileged._ways
    chosen = {"namespace": 1, "capability": 2}[way]
    monkeypatch.setattr(unprivileged, "_ways", lambda programs: [list(every_way(programs))[chosen]])
    with EmbeddedPostgres(private_folder / "postgres", durable=False) as postgres:
        assert (owner_of(postgres.pid) == 0) is (way == "namespace")
        assert answers(postgres)


def _private_programs(folder: Path) -> Path:
    """PostgreSQL as it lies in a project that only its owner may enter."""
    programs = postgres_folder()
    package = programs.parents[1]
    shutil.copytree(package, folder / package.name)
    if (libraries := package.with_name(f"{package.name}.libs")).exists():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / programs.relative_to(package.parent)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is one way only")
def test_no_way_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unprivileged, "_ways", lambda _programs: [])
    with pytest.raises(Exception, match="Start as an ordinary user"):
        EmbeddedPostgres(tmp_path / "postgres", durable=False).start()


@AS_ROOT
@pytest.mark.parametrize("uid", [65_534, 54_321], ids=["nobody", "without a name"])
def test_an_ordinary_user_starts_it_as_themselves(open_folder: Path, uid: int) -> None:
    os.chown(open_folder, uid, uid)
    child = os.fork()
    if child == 0:
        os._exit(_start_and_stop_as(uid, open_folder / "postgres"))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _start_and_stop_as(uid: int, folder: Path) -> int:
    """In a process of its own: 0 when a server of this user's answered."""
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # as a program started by this user would be
    try:
        with EmbeddedPostgres(folder, durable=False) as postgres:
            return 0 if owner_of(postgres.pid) == uid else 1
    except CommandError as error:
        print(error)
        return 2


def test_the_guard_ends_its_program_when_the_parent_is_gone() -> None:
    command = [sys.executable, "-S", "-E", guard.__file__, str(int(signal.SIGTERM))]
    program = [sys.executable, "-c", "import os, signal; print(os.getpid(), flush=True); signal.pause()"]
    guarded = subprocess.Popen([*command, *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert guarded.stdout
    assert guarded.stdin
    pid = int(guarded.stdout.readline())
    guarded.stdin.close()
    eventually(lambda: is_gone(pid))
    assert guarded.wait() == 128 + signal.SIGTERM
    guarded.stdout.close()
