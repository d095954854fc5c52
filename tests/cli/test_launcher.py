"""The launcher makes the environment once, from hashes, whoever calls it from wherever, and never uses half of one."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.embedded.ports import free_port
from settings import ROOT
from tests.cli.programs import eventually

# The interpreter that a stranger has, not the one of our own environment.
PYTHON = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
SAYS = "import os, sys; print(sys.prefix, os.getcwd(), *sys.argv[1:])"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A product whose environment is there already; tests leave it as it is."""
    folder = _product(tmp_path_factory.mktemp("made"))
    assert launch(folder).returncode == 0
    return folder


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A product that was never started."""
    return _product(tmp_path)


def _product(tmp_path: Path) -> Path:
    """A product that is the launcher, a lock without packages, and a command line that tells how it runs."""
    folder = tmp_path / "a product"
    (folder / "cli").mkdir(parents=True)
    shutil.copy(ROOT / "mts", folder)
    (folder / "requirements-dev.lock").write_text("")
    (folder / "cli" / "__init__.py").write_text("")
    (folder / "cli" / "__main__.py").write_text(SAYS)
    return folder


def launch(product: Path, *arguments: str, cwd: str = "/", **changed: str) -> subprocess.CompletedProcess[str]:
    """Call the launcher in a bare environment."""
    env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", **changed}
    command: list[str | Path] = [PYTHON, product / "mts", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_it_makes_the_environment_once_and_hands_over(product: Path, tmp_path: Path) -> None:
    first = launch(product, "a b", "--c", cwd=str(tmp_path), HOME="")
    assert (first.returncode, first.stdout) == (0, f"{product / '.venv'} {tmp_path} a b --c\n")
    assert first.stderr.count("\n") == 1
    assert first.stderr.startswith("Preparing the environment")
    again = launch(product, cwd=str(tmp_path))
    assert (again.returncode, again.stderr) == (0, "")


def test_a_folder_called_cli_where_the_caller_stands_does_not_win(made: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "cli").mkdir(parents=True)
    (tmp_path / "elsewhere" / "cli" / "__main__.py").write_text("print('wrong')")
    answer = launch(made, "right", cwd=str(tmp_path / "elsewhere"))
    assert answer.stdout.endswith("right\n")


def test_it_follows_a_link_to_itself(made: Path, tmp_path: Path) -> None:
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "mts").symlink_to(made / "mts")
    assert launch(tmp_path / "link").stdout.startswith(str(made / ".venv"))


def test_a_changed_lock_changes_what_differs_and_takes_out_what_is_no_longer_named(made: Path, tmp_path: Path) -> None:
    product = shutil.copytree(made, tmp_path / "copy", symlinks=True)
    (library,) = (product / ".venv" / "lib").glob("python3*/site-packages")
    former = library / "former_package-1.0.dist-info"
    former.mkdir()
    (former / "METADATA").write_text("Metadata-Version: 2.1\nName: former-package\nVersion: 1.0\n")
    (former / "RECORD").write_text("former_package-1.0.dist-info/METADATA,,\nformer_package-1.0.dist-info/RECORD,,\n")
    (product / "requirements-dev.lock").write_text("# other\n")
    answer = launch(product)
    assert (answer.returncode, "Preparing" in answer.stderr) == (0, True)
    assert not (former / "METADATA").exists()
    assert launch(product).stderr == ""


def test_an_interrupted_installation_is_done_again(product: Path) -> None:
    interrupted = subprocess.Popen([PYTHON, product / "mts"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually((product / ".venv" / "pyvenv.cfg").exists)
    interrupted.send_signal(signal.SIGKILL)
    interrupted.wait()
    answer = launch(product, "whole")
    assert (answer.returncode, answer.stdout.endswith("whole\n")) == (0, True)


def test_two_starts_at_once_make_one_environment(product: Path) -> None:
    command: list[str | Path] = [PYTHON, product / "mts", "x"]
    both = [subprocess.Popen(command, cwd="/", stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    answers = [one.communicate(timeout=120) for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sorted("Preparing" in said for _, said in answers) == [False, True]


def test_an_installer_that_outlives_its_launcher_keeps_its_turn(product: Path, tmp_path: Path) -> None:
    """A killed launcher leaves its installer running: the next start must not work on the same folder beside it."""
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "bin" / "uv"
    slow.write_text(f"#!/bin/sh\necho begin >> {tmp_path}/turns\nsleep 2\necho end >> {tmp_path}/turns\nexit 1\n")
    slow.chmod(0o755)
    path = f"{tmp_path}/bin:{Path(sys.executable).parent}:/usr/bin:/bin"
    killed = subprocess.Popen([PYTHON, product / "mts"], env={"PATH": path}, stderr=subprocess.DEVNULL)
    eventually((tmp_path / "turns").exists)
    killed.kill()
    killed.wait()
    assert launch(product, PATH=path).returncode == 0
    assert (tmp_path / "turns").read_text().split() == ["begin", "end", "begin", "end"]


def test_a_package_without_its_hash_is_refused_with_a_sentence(made: Path, tmp_path: Path) -> None:
    product = shutil.copytree(made, tmp_path / "copy", symlinks=True)
    (product / "requirements-dev.lock").write_text("starlette==1.0.0\n")
    answer = launch(product)
    assert answer.returncode == 1
    assert "hash" in answer.stderr.lower()
    assert "nothing half-made is used" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (product / ".venv" / ".made-from").exists()


def test_an_old_python_is_told_so(made: Path) -> None:
    code = f"import sys; sys.version_info = (3, 9, 1); sys.argv[0] = 'mts'; exec(open({str(made / 'mts')!r}).read())"
    env = {"PATH": "/nonexistent"}
    program = [sys.executable, "-c", f"__file__ = 'mts'; {code}"]
    answer = subprocess.run(program, env=env, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (
        1,
        "mts needs Python 3.11 or newer; this is 3.9. Install one and start again.\n",
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_fresh_clone_with_an_empty_home_runs_with_one_command(tmp_path: Path) -> None:
    clone, home = tmp_path / "clone", tmp_path / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LOGNAME", "VIRTUAL_ENV")}
    env = {**kept, "HOME": str(home), "PORT": str(free_port()), "DATA_DIR": str(tmp_path / "data")}
    printed = tmp_path / "printed"
    with printed.open("wb") as output:
        running = subprocess.Popen([clone / "mts", "dev"], cwd=tmp_path, env=env, stdout=output, stderr=output)
    try:
        eventually(lambda: "Ready in" in printed.read_text() or running.poll() is not None, 400)
        assert running.poll() is None, printed.read_text()
    finally:
        running.send_signal(signal.SIGINT)
        code = running.wait(60)
    assert code == 0, printed.read_text()
