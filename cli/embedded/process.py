"""Starts programs that end with their parent, and tells which program a process id belongs to."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
# Linux can tell a process that its parent is gone; elsewhere a guard stands between them.
PARENT_SIGNAL = sys.platform == "linux"
GUARD = Path(__file__).with_name("guard.py")
# Loaded before any fork: between fork and exec only calls into loaded code are safe.
LIBC = ctypes.CDLL(None, use_errno=True)

Process = subprocess.Popen[bytes]


def launch(
    command: Sequence[str | Path],
    stop_signal: signal.Signals,
    *,
    output: IO[bytes] | int,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    enter: Callable[[], None] | None = None,
) -> Process:
    """Start `command` in a session of its own; it gets `stop_signal` when this process ends in whatever way.

    `enter` runs in the child before the program does (to change who it runs as). Must be called from a thread that
    lives as long as the process: the kernel watches the thread.
    """
    guarded = [] if PARENT_SIGNAL else [sys.executable, "-S", "-E", str(GUARD), str(int(stop_signal))]
    parent = os.getpid()

    def prepare() -> None:
        if enter is not None:
            enter()
        end_with_parent(stop_signal, parent)

    return subprocess.Popen(
        [*guarded, *map(str, command)],
        stdin=subprocess.DEVNULL if PARENT_SIGNAL else subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=folder,
        start_new_session=True,
        preexec_fn=prepare,  # noqa: PLW1509 – it calls only what is loaded already
    )


def end_with_parent(stop_signal: signal.Signals, parent: int) -> None:
    """Ask Linux to send this process `stop_signal` when `parent` ends; exit at once when it already has."""
    if PARENT_SIGNAL:
        LIBC.prctl(PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def running(pid: int, programs: Sequence[str]) -> bool:
    """Whether `pid` is a live process (not a zombie) of one of these programs."""
    name, state = _on_linux(pid) if Path("/proc/self/stat").exists() else _by_ps(pid)
    return name in programs and state not in ("Z", "X")


def _on_linux(pid: int) -> tuple[str, str]:
    """Name and state letter of a process; empty when there is none."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except (FileNotFoundError, ProcessLookupError):
        return "", ""
    return name, rest.split()[0]


def _by_ps(pid: int) -> tuple[str, str]:
    command = ["ps", "-o", "state=,comm=", "-p", str(pid)]
    state, _, path = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip().partition(" ")
    return Path(path.strip()).name, state[:1]


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll `condition` until it holds; False when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
