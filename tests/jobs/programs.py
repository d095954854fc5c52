"""A real worker process for tests, with jobs of the tests' own that write down when they begin and end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from settings import ROOT
from tests.cli.programs import environment

PROGRAM = """
import asyncio, os, sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from db.types import OrganizationId
from jobs import app, logs, maintenance, messages, worker
from jobs.app import job
from jobs.resources import Resources
from settings import Settings

DIARY = Path(os.environ["DIARY"])
maintenance.DEAD_AFTER_SECONDS = 4.0
worker.HEARTBEAT_SECONDS = 1.0
messages.ABANDONED_AFTER = timedelta(seconds=15)
messages.LONGEST_ATTEMPT = timedelta(seconds=12)


def note(word: str, subject: object) -> None:
    line = f"{word} {subject} {os.getpid()}\\n".encode()
    fd = os.open(DIARY, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(fd, line)
    os.close(fd)


async def work_for(subject: UUID, seconds: float) -> None:
    note("begin", subject)
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note("cut", subject)
        raise
    note("end", subject)


@job(queue="billing")
async def short(resources: Resources, organization_id: OrganizationId, subject_id: UUID) -> None:
    await work_for(subject_id, 0.3)


@job(queue="mail")
async def long(resources: Resources, organization_id: OrganizationId, subject_id: UUID) -> None:
    await work_for(subject_id, 60)


@job(queue="billing", retry=app.Backoff(attempts=1))
async def wrong(resources: Resources, organization_id: OrganizationId, subject_id: UUID) -> None:
    raise RuntimeError("no way for somebody@example.com")


settings = Settings.from_env(os.environ)
logs.configure(settings.log_level)
worker.run(settings)
"""


class WorkerProcess:
    """One worker process; `diary` is the file that its jobs write to."""

    def __init__(self, diary: Path, **variables: str) -> None:
        self.diary = diary
        self._output = diary.with_name(f"worker-{os.urandom(3).hex()}.log")
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", PROGRAM],
                env=environment(DIARY=str(diary), PYTHONPATH=str(ROOT), **variables),
                stdout=output,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._output.read_text()

    @property
    def is_working(self) -> bool:
        """Whether it has said that it works."""
        assert self._process.poll() is None, self.output
        return "worker.started" in self.output

    def stop(self) -> int:
        """Ask it to end and wait; returns its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """End it if it still runs."""
        if self._process.poll() is None:
            self.kill()


def entries(diary: Path, word: str) -> list[str]:
    """The subjects that the jobs have written down with this word, in order."""
    lines = diary.read_text().splitlines() if diary.exists() else []
    return [subject for kind, subject, _ in map(str.split, lines) if kind == word]
