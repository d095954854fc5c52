"""Around every attempt of a job: its duration is measured, and why it failed is kept where an operator looks."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import procrastinate
import structlog

from db import queue
from db.errors import DomainError
from jobs.metrics import JOB_SECONDS
from jobs.resources import Resources

log = structlog.get_logger()
_ADDRESS = re.compile(r"[^\s<>\"'(),;:=]+@[^\s<>\"'(),;:]+")


@asynccontextmanager
async def recorded(resources: Resources, job: procrastinate.jobs.Job, task: str) -> AsyncIterator[None]:
    """Measure the attempt in the block and keep its error; the error goes on."""
    started, outcome = time.perf_counter(), "done"
    try:
        yield
    except asyncio.CancelledError:
        outcome = "stopped"
        raise
    except Exception as error:
        outcome = "error"
        await _keep(resources, job, described(error))
        raise
    finally:
        JOB_SECONDS.labels(task, outcome).observe(time.perf_counter() - started)


def described(error: BaseException) -> str:
    """An error in one line: its name and what it says first, without addresses; of Postgres only the code."""
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return f"{type(error).__name__} ({state})"
    said = str(error).strip().partition("\n")[0]
    return _ADDRESS.sub("(address)", f"{type(error).__name__}: {said}" if said else type(error).__name__)[:300]


async def _keep(resources: Resources, job: procrastinate.jobs.Job, error: str) -> None:
    if job.id is None:
        return
    try:
        async with resources.database.resolver() as conn:
            await queue.note_error(conn, job.id, job.attempts + 1, error)
    except DomainError:
        # Postgres is away: the job's own error is in the log, and this note is not worth another.
        log.warning("job.error_not_kept", error=error)
