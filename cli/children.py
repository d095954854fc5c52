"""The processes of `mts dev`: started, listened to, started again when they die, and ended one after another."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO

from cli.embedded.process import Process, launch
from cli.terminal import readable, say
from settings import ROOT

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
STEADY_SECONDS = 30


@dataclass(frozen=True)
class Program:
    """What a child runs: `python -m MODULE ARGUMENTS…`, and how long it may take to end (seconds)."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    grace: float = 15.0
    ready_line: str | None = None


class Child:
    """One program kept running: when it dies it is started again, later each time that it dies soon."""

    def __init__(self, program: Program, changed: Callable[[], None] = lambda: None) -> None:
        self.name = program.name
        self.ready = threading.Event()
        self._program = program
        self._changed = changed
        self._process: Process | None = None
        self._started = 0.0
        self._delay = FIRST_DELAY
        self.deaths = 0
        self._start_at: float | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start the program and pass on what it prints, line by line."""
        command = [sys.executable, "-P", "-m", *self._program.arguments]
        # Only -9 is certain: who was left alone must not wait for a database that is gone as well.
        self._process = launch(
            command,
            signal.SIGKILL,
            output=subprocess.PIPE,
            environment={**self._program.environment, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            folder=ROOT,
        )
        self._started, self._start_at = time.monotonic(), None
        assert self._process.stdout is not None  # noqa: S101 – asked for above
        threading.Thread(target=self._pass_on, args=(self._process.stdout,), daemon=True).start()
        self._changed()

    def tend(self) -> None:
        """Notice a death, say so, and start the program again when its delay is over. Call several times a second."""
        if self._process is None or self._process.poll() is None:
            return
        now = time.monotonic()
        if self._start_at is None:
            if now - self._started > STEADY_SECONDS:
                self._delay, self.deaths = FIRST_DELAY, 0
            self.deaths += 1
            say(self.name, f"ended {self._ending()}; starting it again in {self._delay:g} s")
            self._start_at, self._delay = now + self._delay, min(self._delay * 2, LONGEST_DELAY)
        elif now >= self._start_at:
            self.start()

    def stop(self, hurry: Callable[[], bool]) -> None:
        """Ask the program to end and wait for it; after its grace, or when `hurry` says so, end it."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        deadline = time.monotonic() + self._program.grace
        while process.poll() is None:
            if hurry() or time.monotonic() > deadline:
                say(self.name, "did not end in time: killed")
                process.kill()
                process.wait()
            time.sleep(0.02)

    def _ending(self) -> str:
        code = self._process.poll() if self._process is not None else None
        if code is None:
            return "already"
        return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"

    def _pass_on(self, output: IO[bytes]) -> None:
        with output:
            for raw in output:
                line = raw.decode(errors="replace").rstrip()
                if line == self._program.ready_line:
                    self.ready.set()
                else:
                    say(self.name, readable(line))
