"""The worker process: runs every declared job, fires the periodic ones, and stops without losing any."""

import asyncio
import importlib
import pkgutil

import procrastinate
import structlog

import jobs
from jobs import app
from jobs.resources import Resources, open_resources
from settings import Settings

log = structlog.get_logger()
CONCURRENCY = 8
STOP_SECONDS = 20.0


def connector(url: str) -> procrastinate.PsycopgConnector:
    """Procrastinate's own connections, in its schema whatever the role's search path says."""
    return procrastinate.PsycopgConnector(
        conninfo=url, kwargs={"options": "-c search_path=jobs"}, min_size=1, max_size=4
    )


def declare_jobs() -> None:
    """Import every module of jobs/, so that all jobs are declared."""
    for module in pkgutil.iter_modules(jobs.__path__):
        importlib.import_module(f"jobs.{module.name}")


def run(settings: Settings) -> None:
    """Work until SIGINT or SIGTERM; jobs under way get twenty seconds, then go back into the queue."""
    asyncio.run(serve(settings))


async def serve(settings: Settings) -> None:
    """Open the resources of a worker and work."""
    async with open_resources(settings) as resources:
        await work(resources, settings.database_url.get_secret_value())


async def work(resources: Resources, url: str, *, wait: bool = True, periodic: bool = True) -> None:
    """Run jobs; with `wait` false until the queue is empty, with `periodic` false without the schedule."""
    declare_jobs()
    procrastinate_app = app.build(connector(url), periodic)
    async with procrastinate_app.open_async():
        log.info("worker.started", jobs=len(app.declared()))
        await procrastinate_app.run_worker_async(
            concurrency=CONCURRENCY,
            wait=wait,
            delete_jobs="successful",
            shutdown_graceful_timeout=STOP_SECONDS,
            install_signal_handlers=wait,
            additional_context={"resources": resources, "app": procrastinate_app},
        )
