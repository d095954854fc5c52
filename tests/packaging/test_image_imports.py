"""The image needs no development library: what the Dockerfile copies starts with what requirements.lock installs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from settings import ROOT
from tests.packaging.dockerfile import parse
from tests.packaging.hadolint_rules import of

PROGRAM = parse((ROOT / "Dockerfile").read_text())
PROCESSES = ("serve", "worker", "migrate", "doctor")
EVERY_MODULE = """
import importlib, pkgutil, sys
names = [module.name for floor in ("api", "jobs", "db") for module in pkgutil.walk_packages([floor], floor + ".")]
for name in names + ["settings", "cli.app", *sys.argv[1:]]:
    importlib.import_module(name)
print(len(names))
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_process_starts_in_the_image_s_own_environment(tmp_path: Path) -> None:
    python = _environment_of_the_image(tmp_path)
    app = _files_of_the_image(tmp_path)
    commands = [f"cli.{name}" for name in PROCESSES]
    imported = _run(
        [python, "-P", "-W", "ignore", "-c", f"import sys; sys.path.insert(0, '.'){EVERY_MODULE}", *commands], app
    )
    assert int(imported) > 20
    for name in PROCESSES:
        assert f"usage: mts {name}" in _run([python, "-m", "cli", name, "--help"], app)


def _environment_of_the_image(tmp_path: Path) -> str:
    """Run the Dockerfile's own install command, with the folder and the interpreter of this machine."""
    folder = tmp_path / "libraries"
    install = next(run.text for run in of(PROGRAM, "RUN") if "install" in run.text)
    make, fill = (part.strip() for part in install.replace("/opt/mts", str(folder)).split("&&"))
    python = str(Path(sys.base_prefix) / "bin" / "python3")
    _run([python, *make.split()[1:]], ROOT)
    # The image's Python brings pip; ours may have been made by an installer that leaves it out.
    builder = tmp_path / "builder"
    _run([python, "-m", "venv", str(builder)], ROOT)
    _run([str(builder / "bin" / "python"), "-m", *fill.split()], ROOT)
    return str(folder / "bin" / "python")


def _files_of_the_image(tmp_path: Path) -> Path:
    app = tmp_path / "app"
    app.mkdir()
    for copy in of(PROGRAM, "COPY"):
        for name in copy.arguments[:-1] if "from" not in copy.flags else ():
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, app / name, ignore=_left_out)
            else:
                shutil.copy(source, app / name)
    return app


def _left_out(folder: str, names: list[str]) -> set[str]:
    """What .dockerignore keeps out of the image."""
    ignored = set((ROOT / ".dockerignore").read_text().splitlines())
    return {name for name in names if str((Path(folder) / name).relative_to(ROOT)) in ignored}


def _run(command: list[str], folder: Path) -> str:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
