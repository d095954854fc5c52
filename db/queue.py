"""Puts jobs into the queue through the database's own doors, within the caller's transaction."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from db.pool import Tenant
from db.statements import load

queries = load("queue")


@dataclass(frozen=True)
class Options:
    """How one deferral differs: `lock` runs one at a time, `queueing_lock` waits once, `run_at` not before."""

    lock: str | None = None
    queueing_lock: str | None = None
    run_at: datetime | None = None
    priority: int = 0


async def defer(tenant: Tenant, task: str, queue: str, arguments: dict[str, Any], options: Options) -> int | None:
    """A job of the tenant; its id, or None when the queueing lock is taken."""
    job_id: int | None = await queries.defer(
        tenant.conn, task=task, queue=queue, arguments=arguments, lock=options.lock, queueing_lock=options.queueing_lock,
        priority=options.priority, run_at=options.run_at,
    )  # fmt: skip
    return job_id


async def defer_global(conn: Any, task: str, queue: str, arguments: dict[str, Any], options: Options) -> int | None:
    """One of the few jobs without an organization; its id, or None when the queueing lock is taken."""
    job_id: int | None = await queries.defer_global(
        conn, task=task, queue=queue, arguments=arguments, queueing_lock=options.queueing_lock
    )
    return job_id
