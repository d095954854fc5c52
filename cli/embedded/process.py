"""Starts programs that end with their parent, and tells which program a process id belongs to."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
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
    linux = sys.platform == "linux"
    guarded = [] if linux else [sys.executable, "-S", "-E", str(GUARD), str(int(stop_signal))]
    parent = os.getpid()

    def prepare() -> None:
        if enter is not None:
            enter()
        if linux:
            end_with_parent(stop_signal, parent)

    return subprocess.Popen(
        [*guarded, *map(str, command)],
        stdin=subprocess.DEVNULL if linux else subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=folder,
        start_new_session=True,
        preexec_fn=prepare,
    )


def end_with_parent(stop_signal: signal.Signals, parent: int) -> None:
    """Ask Linux to send this process `stop_signal` when `parent` ends; exit at once when it already has."""
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def running(pid: int, programs: Sequence[str]) -> bool:
    """Whether `pid` is a live process (not a zombie) of one of these programs."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        if sys.platform == "linux":
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
            return rest.split()[0] not in "ZX" and name in programs
        answer = subprocess.run(["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return os.path.basename(answer.stdout.strip()) in programs
    except (FileNotFoundError, ProcessLookupError):
        return False
