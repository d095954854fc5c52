"""The worker process: every queue with its own jobs at once, the schedule, and an end that loses no job."""

import asyncio
import importlib
import pkgutil
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

import procrastinate
import structlog

import jobs
from jobs import app, metrics
from jobs.connector import connector
from jobs.resources import Resources, open_resources
from settings import Settings, SettingsError

log = structlog.get_logger()
QUEUES: tuple[str, ...] = get_args(app.Queue)
HEARTBEAT_SECONDS = 5.0
AT_ONCE_WHEN_DRAINING = 8
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0


def declare_jobs() -> None:
    """Import every module of jobs/, so that all jobs are declared."""
    for module in pkgutil.iter_modules(jobs.__path__):
        importlib.import_module(f"jobs.{module.name}")


def concurrency(settings: Settings) -> dict[str, int]:
    """How many jobs of each queue this process runs at once; a queue that is left out is left to other processes.

    Raises SettingsError for a queue that does not exist or is named twice.
    """
    named = re.findall(r"(\w+)=(\d+)", settings.worker_concurrency)
    found = {name: int(count) for name, count in named}
    if len(found) < len(named) or not set(found) <= set(QUEUES):
        raise SettingsError(f"WORKER_CONCURRENCY: name each queue once. The queues are {', '.join(QUEUES)}.")
    return found


def run(settings: Settings) -> None:
    """Work until SIGINT or SIGTERM; jobs under way then get WORKER_STOP_SECONDS, and what is left goes back."""
    asyncio.run(serve(settings))


async def serve(settings: Settings) -> None:
    """Open the resources of a worker and work. Raises SettingsError."""
    at_once = concurrency(settings)
    async with open_resources(settings) as resources:
        with metrics.served(settings.host, settings.worker_metrics_port), _ended_by_signals(resources.stopping):
            await work(resources, settings.database_url.get_secret_value(), at_once=at_once)


async def work(
    resources: Resources,
    url: str,
    *,
    wait: bool = True,
    periodic: bool = True,
    at_once: dict[str, int] | None = None,
) -> None:
    """Run jobs until `resources.stopping` is set, with `wait` false until all queues are empty.

    `periodic` false leaves the schedule out; `at_once` is what `concurrency` says, by default of the settings.
    """
    declare_jobs()
    connected = connector(url)
    scheduling = app.build(connected, periodic)
    async with scheduling.open_async():
        if not wait:
            await _empty(scheduling, resources)
            return
        queues = at_once or concurrency(resources.settings)
        log.info("worker.started", jobs=len(app.declared()), queues=queues)
        plain = app.build(connected, periodic_defaults=False)
        scheduler = "maintenance" if "maintenance" in queues else next(iter(queues))
        await asyncio.gather(
            *(_tend(scheduling if name == scheduler else plain, name, count, resources)
              for name, count in queues.items())
        )  # fmt: skip
        log.info("worker.stopped")


async def _empty(procrastinate_app: procrastinate.App, resources: Resources) -> None:
    """Run what waits in any queue, and what that defers, until nothing is left."""
    await procrastinate_app.run_worker_async(
        concurrency=AT_ONCE_WHEN_DRAINING,
        wait=False,
        delete_jobs="successful",
        shutdown_graceful_timeout=resources.settings.worker_stop_seconds,
        install_signal_handlers=False,
        additional_context={"resources": resources},
    )


async def _tend(procrastinate_app: procrastinate.App, queue: str, count: int, resources: Resources) -> None:
    """Keep a queue worked on until the process is to stop, also over the loss and the return of Postgres."""
    pause = FIRST_PAUSE
    while not resources.stopping.is_set():
        running = asyncio.create_task(_run(procrastinate_app, queue, count, resources), name=f"queue {queue}")
        stopping = asyncio.create_task(resources.stopping.wait())
        began = asyncio.get_running_loop().time()
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if resources.stopping.is_set():
            await _stop(running, queue)
            return
        stopping.cancel()
        log.warning("worker.queue_interrupted", queue=queue, exc_info=running.exception(), again_in=pause)
        steady = asyncio.get_running_loop().time() - began > LONGEST_PAUSE
        pause = FIRST_PAUSE if steady else min(2 * pause, LONGEST_PAUSE)
        await _pause(resources.stopping, pause)


async def _run(procrastinate_app: procrastinate.App, queue: str, count: int, resources: Resources) -> None:
    await procrastinate_app.run_worker_async(
        queues=[queue],
        name=queue,
        concurrency=count,
        delete_jobs="successful",
        shutdown_graceful_timeout=resources.settings.worker_stop_seconds,
        install_signal_handlers=False,
        update_heartbeat_interval=HEARTBEAT_SECONDS,
        additional_context={"resources": resources},
    )


async def _stop(running: asyncio.Task[None], queue: str) -> None:
    """A cancelled worker takes no more jobs and waits for those under way, as long as it may."""
    running.cancel()
    try:
        await running
    except asyncio.CancelledError:
        log.debug("worker.queue_stopped", queue=queue)
    except Exception:
        # Postgres is away: what could not be given back is taken over from us by a rescuer.
        log.exception("worker.queue_stop_failed", queue=queue)


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return


@contextmanager
def _ended_by_signals(stopping: asyncio.Event) -> Iterator[None]:
    """The first SIGINT or SIGTERM asks for an end in order; a second one ends the process as ever."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)
        stopping.set()

    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
