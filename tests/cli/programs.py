"""Small ways to run our own commands in tests, and to wait for what they do."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from settings import ROOT, Settings

OURS = {name.upper() for name in Settings.model_fields} | {"ADMIN_DATABASE_URL", "PG_BINDIR"}


def environment(**settings: str) -> dict[str, str]:
    """The environment of a command: this process's without its settings, plus `settings`."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    return {**kept, "PYTHONPATH": str(ROOT), **settings}


def mts(*arguments: str, env: Mapping[str, str] | None = None, cwd: str = "/") -> subprocess.CompletedProcess[str]:
    """Run one sub-command to its end."""
    command = [sys.executable, "-P", "-m", "cli", *arguments]
    kept = environment() if env is None else env
    return subprocess.run(command, capture_output=True, text=True, env=kept, cwd=cwd, timeout=60, check=False)


def python(code: str, *arguments: str) -> "subprocess.Popen[str]":
    """Start a Python process that runs `code` with our modules at hand."""
    command = [sys.executable, "-P", "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(), cwd="/")


def eventually(condition: Callable[[], object], seconds: float = 15) -> None:
    """Wait until `condition` holds; fails when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Whether no process of this id runs any more; one that nobody has waited for yet counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True
