"""PostgreSQL starts whoever we are: an ordinary user, one without a name, root, root where nobody else may enter."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.embedded import EmbeddedPostgres, guard, unprivileged
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


@AS_ROOT
def test_root_starts_it_as_somebody_else(open_folder: Path) -> None:
    with EmbeddedPostgres(open_folder / "postgres", durable=False) as postgres:
        assert owner_of(postgres.pid) != 0


@AS_ROOT
def test_root_starts_it_in_a_folder_that_nobody_else_may_enter(private_folder: Path) -> None:
    assert private_folder.stat().st_mode & 0o077 == 0
    with EmbeddedPostgres(private_folder / "postgres", durable=False) as postgres:
        assert owner_of(postgres.pid) != 0


@pytest.mark.skipif(sys.platform != "linux", reason="user namespaces are Linux's")
def test_a_namespace_lets_it_run_where_nothing_else_does(private_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every_way = unprivileged._ways
    monkeypatch.setattr(unprivileged, "_ways", lambda: list(every_way())[-1:])
    with EmbeddedPostgres(private_folder / "postgres", durable=False) as postgres:
        assert owner_of(postgres.pid) == os.geteuid()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is one way only")
def test_no_way_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unprivileged, "_ways", list)
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
