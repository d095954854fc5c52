"""The queue's own doors: puts jobs into it within the caller's transaction, and shows operators what became of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import asyncpg

from db.errors import Conflict, NotFound
from db.pool import Tenant
from db.statements import load
from db.types import OrganizationId

queries = load("queue")

JobStatus = Literal["todo", "doing", "succeeded", "failed", "cancelled", "aborted"]


@dataclass(frozen=True)
class Options:
    """How one deferral differs: `lock` runs one at a time, `queueing_lock` waits once, `run_at` not before."""

    lock: str | None = None
    queueing_lock: str | None = None
    run_at: datetime | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job as an operator sees it; `error` is why its last attempt failed."""

    id: int
    queue: str
    task: str
    status: JobStatus
    priority: int
    attempts: int
    arguments: dict[str, Any]
    scheduled_at: datetime | None
    worker_id: int | None
    deferred_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job."""

    at: datetime
    type: str


@dataclass(frozen=True, slots=True)
class JobError:
    """Why one attempt failed."""

    attempt: int
    at: datetime
    error: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One number about the queues; `label` is the queue, empty for what is not of one."""

    figure: str
    label: str
    value: float


async def defer(tenant: Tenant, task: str, queue: str, arguments: dict[str, Any], options: Options) -> int | None:
    """A job of the tenant; its id, or None when the queueing lock is taken."""
    job_id: int | None = await queries.defer(
        tenant.conn, task=task, queue=queue, arguments=arguments, lock=options.lock,
        queueing_lock=options.queueing_lock,
        priority=options.priority, run_at=options.run_at,
    )  # fmt: skip
    return job_id


async def defer_global(conn: Any, task: str, queue: str, arguments: dict[str, Any], options: Options) -> int | None:
    """One of the few jobs without an organization; its id, or None when the queueing lock is taken."""
    job_id: int | None = await queries.defer_global(
        conn, task=task, queue=queue, arguments=arguments, queueing_lock=options.queueing_lock
    )
    return job_id


async def jobs(
    conn: Any,
    *,
    limit: int,
    status: JobStatus | None = None,
    queue: str | None = None,
    organization_id: OrganizationId | None = None,
) -> list[QueuedJob]:
    """Up to `limit` jobs that fit, the newest first; those that succeeded are deleted as they end."""
    organization = str(organization_id) if organization_id else None
    rows = queries.list(conn, status=status, queue=queue, organization_id=organization, id=None, limit=limit)
    return [QueuedJob(**row) async for row in rows]


async def job(conn: Any, job_id: int) -> QueuedJob:
    """One job. Raises NotFound, also for one that succeeded and was deleted."""
    rows = queries.list(conn, status=None, queue=None, organization_id=None, id=job_id, limit=1)
    async for row in rows:
        return QueuedJob(**row)
    raise NotFound("Job")


async def events(conn: Any, job_id: int) -> list[JobEvent]:
    """What happened to a job, in order."""
    return [JobEvent(**row) async for row in queries.events(conn, id=job_id)]


async def errors(conn: Any, job_id: int) -> list[JobError]:
    """Why a job's attempts failed, the last first."""
    return [JobError(**row) async for row in queries.errors(conn, id=job_id)]


async def failed(conn: Any) -> list[int]:
    """The ids of all failed jobs, the oldest first."""
    return [row["id"] async for row in queries.failed(conn)]


async def retry(conn: Any, job_id: int) -> None:
    """Let a job that ended without success wait again, with all its tries; a worker takes it within seconds.

    Raises NotFound for a job that is not there, Conflict for one that has not ended and for one whose twin waits.
    The transaction is of no use after the latter.
    """
    try:
        if await queries.retry(conn, id=job_id) is None:
            found = await job(conn, job_id)
            raise Conflict("CONFLICT", f"Job {job_id} has not ended: it is {found.status}")
    except asyncpg.UniqueViolationError:
        raise Conflict("CONFLICT", f"A twin of job {job_id} waits already") from None
    await queries.forget_errors(conn, id=job_id)


async def cancel(conn: Any, job_id: int) -> None:
    """Keep a waiting job from running; one that runs is told to stop and ends as failed.

    Raises NotFound, and Conflict for a job that has ended.
    """
    if await queries.cancel(conn, id=job_id) is None:
        found = await job(conn, job_id)
        raise Conflict("CONFLICT", f"Job {job_id} has ended already: it is {found.status}")


async def note_error(conn: Any, job_id: int, attempt: int, error: str) -> None:
    """Keep why an attempt failed, for whoever looks at the job."""
    await queries.note_error(conn, job_id=job_id, attempt=attempt, error=error)


async def gauge(conn: Any, name: str, value: int) -> None:
    """Write a figure that only a worker can count."""
    await queries.gauge(conn, name=name, value=value)


async def figures(conn: Any) -> list[Figure]:
    """Depth, age and failures of every queue, and what waits: totals, never of one organization."""
    return [Figure(**row) async for row in queries.figures(conn)]
