"""What a job is here: a typed function, deferred in the caller's transaction, run by Procrastinate with back-off."""

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Concatenate, Generic, Literal, ParamSpec, get_type_hints
from uuid import UUID

import procrastinate
import structlog
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from pydantic import TypeAdapter

from db import queue as table
from db.errors import Unavailable
from db.pool import Tenant
from db.types import OrganizationId
from jobs.attempts import recorded
from jobs.resources import Resources

Queue = Literal["mail", "messages", "billing", "maintenance"]
P = ParamSpec("P")
log = structlog.get_logger()

_REGISTRY: dict[str, "Job[Any]"] = {}


class GiveUp(Exception):
    """Trying again cannot help: the job fails at once and stays visible."""


class Backoff(BaseRetryStrategy):
    """Tries again after 2, 4, 8 … seconds, at most ten minutes, spread by half so that failures do not keep step."""

    def __init__(self, attempts: int = 20, cap_seconds: int = 600) -> None:
        self.attempts = attempts
        self.cap_seconds = cap_seconds

    def get_retry_decision(self, *, exception: BaseException, job: procrastinate.jobs.Job) -> RetryDecision | None:
        """None gives the job up; one that was cut off because its worker stops goes back at once, whatever it tried."""
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision(retry_in={"seconds": 0})
        if isinstance(exception, GiveUp) or job.attempts + 1 >= self.attempts:
            return None
        longest = min(self.cap_seconds, 2 ** min(job.attempts + 1, 20))
        seconds = max(getattr(exception, "retry_after", None) or 0, longest * random.uniform(0.5, 1))  # noqa: S311
        return RetryDecision(retry_in={"seconds": int(seconds + 0.5)})


class Once(BaseRetryStrategy):
    """No second try: for jobs that come again by themselves, and whose twin may wait already.

    One that found a store away has not failed: its successor, seconds later, does the work.
    """

    def get_retry_decision(self, *, exception: BaseException, job: procrastinate.jobs.Job) -> RetryDecision | None:
        """Always gives the job up."""
        return None


@dataclass(frozen=True)
class Job(Generic[P]):
    """One kind of job. Its arguments are ids: what they lead to is read, under row security, when it runs."""

    name: str
    queue: Queue
    run: Callable[..., Awaitable[None]]
    cron: str | None = None
    is_global: bool = False
    retry: BaseRetryStrategy = Backoff()
    options: table.Options = table.Options()
    waits_once: bool = False

    def configure(
        self,
        *,
        lock: str | None = None,
        queueing_lock: str | None = None,
        run_at: datetime | None = None,
        priority: int = 0,
    ) -> "Job[P]":
        """The same job with options for one deferral; lock names are made the organization's own by the database."""
        return replace(self, options=table.Options(lock, queueing_lock, run_at, priority))

    async def defer(self, tenant: Any, *args: P.args, **ids: P.kwargs) -> int | None:
        """Put the job into the queue within the caller's transaction: both commit or neither.

        `tenant` is the open tenant transaction, for a global job any connection in a transaction. Returns the job's id,
        or None when its queueing lock is taken by one that waits already.
        """
        if args:
            raise TypeError("arguments of a job are given by name")
        arguments = {name: str(value) if isinstance(value, UUID) else value for name, value in ids.items()}
        if self.is_global:
            conn = tenant.conn if isinstance(tenant, Tenant) else tenant
            return await table.defer_global(conn, self.name, self.queue, arguments, self.options)
        return await table.defer(tenant, self.name, self.queue, arguments, self.options)


def job(
    *, queue: Queue, retry: BaseRetryStrategy | None = None
) -> Callable[[Callable[Concatenate[Resources, OrganizationId, P], Awaitable[None]]], Job[P]]:
    """Declare a job of an organization; the id of the organization is stamped by the database when it is deferred."""

    def register(function: Callable[Concatenate[Resources, OrganizationId, P], Awaitable[None]]) -> Job[P]:
        return _register(Job(_name(function), queue, function, retry=retry or Backoff()))

    return register


def global_job(
    *, queue: Queue, retry: BaseRetryStrategy | None = None
) -> Callable[[Callable[Concatenate[Resources, P], Awaitable[None]]], Job[P]]:
    """Declare one of the few jobs without an organization; jobs.defer_global lists them."""

    def register(function: Callable[Concatenate[Resources, P], Awaitable[None]]) -> Job[P]:
        return _register(Job(_name(function), queue, function, is_global=True, retry=retry or Backoff()))

    return register


def periodic(
    *, cron: str, queue: Queue, waits_once: bool = False
) -> Callable[[Callable[[Resources, int], Awaitable[None]]], Job[[int]]]:
    """Declare a job that the scheduler defers once per tick in the whole cluster; it gets the tick's Unix time.

    With `waits_once` a tick is left out while another waits, and a failed one is not repeated: the next comes soon.
    """

    def register(function: Callable[[Resources, int], Awaitable[None]]) -> Job[[int]]:
        retry = Once() if waits_once else Backoff()
        name = _name(function)
        return _register(Job(name, queue, function, cron=cron, is_global=True, retry=retry, waits_once=waits_once))

    return register


def build(connector: procrastinate.BaseConnector, periodic_defaults: bool = True) -> procrastinate.App:
    """The Procrastinate app with every declared job; without `periodic_defaults` nothing fires by itself."""
    app = procrastinate.App(connector=connector, periodic_defaults={"max_delay": 86_400 * 40})
    for declared in _REGISTRY.values():
        task = app.task(name=declared.name, queue=declared.queue, retry=declared.retry, pass_context=True)(
            _runner(declared)
        )
        if declared.cron and periodic_defaults:
            lock = declared.name if declared.waits_once else None
            app.periodic(cron=declared.cron, queueing_lock=lock)(task)
    return app


def declared() -> dict[str, "Job[Any]"]:
    """Every declared job by name."""
    return dict(_REGISTRY)


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


def _register(declared_job: Job[P]) -> Job[P]:
    if declared_job.name in _REGISTRY:
        raise TypeError(f"two jobs are called {declared_job.name}")
    _REGISTRY[declared_job.name] = declared_job
    return declared_job


def _runner(declared_job: Job[Any]) -> Callable[..., Awaitable[None]]:
    """What Procrastinate calls: arguments become their declared types again, and log lines say which job it is."""
    function = inspect.unwrap(declared_job.run)
    hints = get_type_hints(function)
    adapters = {name: TypeAdapter(hints[name]) for name in list(inspect.signature(function).parameters)[1:]}

    async def run(context: procrastinate.JobContext, *args: Any, **arguments: Any) -> None:
        values = {name: adapters[name].validate_python(value) for name, value in arguments.items()}
        if declared_job.cron:
            values, args = {}, (arguments.get("timestamp", 0),)
        with structlog.contextvars.bound_contextvars(
            job=declared_job.name, job_id=context.job.id, organization_id=arguments.get("organization_id")
        ):
            resources: Resources = context.additional_context["resources"]
            try:
                async with recorded(resources, context.job, declared_job.name):
                    await declared_job.run(resources, *args, **values)
            except Unavailable:
                if not isinstance(declared_job.retry, Once):
                    raise
                log.warning("job.left_to_the_next")
            log.debug("job.done", attempts=context.job.attempts)

    return run
