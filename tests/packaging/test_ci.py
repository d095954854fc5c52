"""`.ci/run` on a machine that has next to nothing: the linters, then exactly `./mts test`, and an honest exit code."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings import ROOT

WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
TOOLS = ("bash", "cat", "dirname", "env", "id", "rm")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository whose `mts` writes down how it was called and ends as the file `fails` says."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    recorder = 'echo "$* CI=$CI stdin=[$(cat)]" >> calls\n[ "$1" != "$(cat fails)" ]\n'
    _executable(tmp_path / "mts", f"#!/bin/sh\n{recorder}")
    (tmp_path / "fails").write_text("nothing")
    return tmp_path


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder of programs to be the whole PATH: the shell's own, Python and a browser."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for tool in TOOLS:
        (programs / tool).symlink_to(str(shutil.which(tool)))
    (programs / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    _executable(programs / "chromium", "#!/bin/sh\n")
    return programs


def test_it_lints_and_then_runs_the_command_of_the_readme(clone: Path, machine: Path) -> None:
    ended = _ci_run(clone, machine)
    assert ended.returncode == 0, ended.stderr
    assert (clone / "calls").read_text().splitlines() == ["lint CI=true stdin=[]", "test CI=true stdin=[]"]
    assert re.search(r"✓ all checks passed after \d+ min \d\d s", ended.stdout)


@pytest.mark.parametrize(("failing", "calls"), [("lint", 1), ("test", 2)])
def test_a_failure_ends_it_with_a_failure(clone: Path, machine: Path, failing: str, calls: int) -> None:
    (clone / "fails").write_text(failing)
    ended = _ci_run(clone, machine)
    assert ended.returncode != 0
    assert "✗ failed after" in ended.stdout
    assert len((clone / "calls").read_text().splitlines()) == calls


def test_a_browser_is_installed_when_it_is_missing(clone: Path, machine: Path) -> None:
    (machine / "chromium").unlink()
    _executable(machine / "id", "#!/bin/sh\necho 0\n")
    _executable(machine / "apt-get", f'#!/bin/sh\necho "$*" >> {clone}/packages\n')
    assert _ci_run(clone, machine).returncode == 0
    update, install = (clone / "packages").read_text().splitlines()
    assert " update " in update
    assert re.search(r" install -y .*chromium$", install)


def test_without_any_way_to_a_browser_it_says_so_and_goes_on(clone: Path, machine: Path) -> None:
    (machine / "chromium").unlink()
    ended = _ci_run(clone, machine)
    assert ended.returncode == 0
    assert "No chromium here" in ended.stderr


def test_an_old_python_is_refused_by_name(clone: Path, machine: Path) -> None:
    _executable(machine / "python3", '#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.2" || exit 1\n')
    ended = _ci_run(clone, machine)
    assert ended.returncode != 0
    assert "Python 3.11 or newer is needed; python3 is Python 3.9.2." in ended.stderr


def test_the_script_can_be_started_from_a_fresh_clone() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-3:-1] == ["./mts lint", "./mts test"]


def test_the_workflow_runs_that_script_with_no_rights_and_pinned_actions() -> None:
    assert ".ci/run" in [step.get("run") for step in STEPS]
    assert WORKFLOW["permissions"] == {"contents": "read"}
    actions = [step["uses"] for step in STEPS if "uses" in step]
    assert actions
    assert all(re.fullmatch(r"[a-z/-]+@[0-9a-f]{40}", action) for action in actions)


def _ci_run(clone: Path, machine: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(machine), "HOME": str(clone)}
    command = [str(clone / ".ci" / "run")]
    return subprocess.run(command, cwd="/", env=environment, input="typed", capture_output=True, text=True, check=False)


def _executable(file: Path, text: str) -> None:
    file.unlink(missing_ok=True)
    file.write_text(text)
    file.chmod(0o755)
