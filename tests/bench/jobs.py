"""What our jobs cost: their rate against Procrastinate's own no-op, deferral against a plain insert, commit to start.

Workers are processes of their own, eight jobs at once, successful jobs deleted; both kinds work off the same number of
rows in turns, so that only the ratios count. Ends with 1 when a target is missed: rate at least 0.6 of the no-op's,
median latency below 50 ms.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg

from db import queue
from db.pool import Database, Tenant
from db.types import SYSTEM
from settings import ROOT
from tests.founding import Founded, found
from tests.servers import TestServers, Urls

LEAST_RATE, MOST_LATENCY_MS = 0.6, 50.0
PLAIN = """
import asyncio, os, procrastinate
from jobs.connector import connector

app = procrastinate.App(connector=connector(os.environ["DATABASE_URL"]))

@app.task(name="bench.plain", queue="billing")
async def plain(**_):
    pass

async def main():
    async with app.open_async():
        print("worker.started", flush=True)
        await app.run_worker_async(queues=["billing"], concurrency=8, delete_jobs="successful")

asyncio.run(main())
"""
OURS = """
import os, time
from pathlib import Path
from uuid import UUID

from db.types import Actor, OrganizationId
from jobs import logs, worker
from jobs.app import job
from jobs.resources import Resources
from settings import Settings

STARTS = Path(os.environ["STARTS"]).open("a", buffering=1)

@job(queue="billing")
async def empty(resources: Resources, organization_id: OrganizationId) -> None:
    pass

@job(queue="billing")
async def reading(resources: Resources, organization_id: OrganizationId) -> None:
    async with resources.database.tenant(organization_id, Actor("job"), read_only=True) as tenant:
        await tenant.conn.fetchval("select 1")

@job(queue="billing")
async def timed(resources: Resources, organization_id: OrganizationId, subject_id: UUID) -> None:
    STARTS.write(f"{subject_id} {time.time()}\\n")

settings = Settings.from_env(os.environ)
logs.configure("info")
worker.run(settings)
"""
INSERT = """
insert into jobs.procrastinate_jobs (queue_name, task_name, args)
select 'billing', %s, jsonb_build_object('organization_id', %s::text) from generate_series(1, %s)
"""
LEFT = "select exists (select from jobs.procrastinate_jobs where task_name = %s)"


class Bench:
    """A database with one organization, and the workers on it."""

    def __init__(self, urls: Urls, redis_url: str, folder: Path, founded: Founded) -> None:
        self.urls, self.redis_url, self.folder, self.founded = urls, redis_url, folder, founded
        self.starts = folder / "starts"

    @contextmanager
    def workers(self, program: str, count: int) -> Iterator[None]:
        """So many processes of one kind, from when they work to when they have ended."""
        processes = [self._start(program, number) for number in range(count)]
        try:
            while not all("worker.started" in log.read_text() for _, log in processes):
                assert all(process.poll() is None for process, _ in processes), processes[0][1].read_text()
                time.sleep(0.02)
            time.sleep(0.5)
            yield
        finally:
            for process, _ in processes:
                process.terminate()
            for process, _ in processes:
                process.wait(30)

    def rate(self, program: str, task: str, count: int, jobs: int) -> float:
        """Jobs a second, from the commit of all of them to the deletion of the last."""
        options = "-c search_path=jobs"
        with (
            self.workers(program, count),
            psycopg.connect(self.urls.superuser, autocommit=True, options=options) as conn,
        ):
            conn.execute(INSERT, [task, self.founded.organization_id, jobs])
            began = time.perf_counter()
            while conn.execute(LEFT, [task]).fetchone() == (True,):
                time.sleep(0.01)
            return jobs / (time.perf_counter() - began)

    def _start(self, program: str, number: int) -> tuple["subprocess.Popen[bytes]", Path]:
        log = self.folder / f"{uuid4().hex}-{number}.log"
        variables = {
            "DATABASE_URL": self.urls.worker, "REDIS_URL": self.redis_url, "SMTP_URL": "smtp://127.0.0.1:9",
            "JWT_SECRET": "x" * 32, "WORKER_CONCURRENCY": "billing=8", "STARTS": str(self.starts),
            "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        with log.open("wb") as output:
            command = [sys.executable, "-P", "-c", program]
            return subprocess.Popen(command, env=os.environ | variables, stdout=output, stderr=output), log


def rates(bench: Bench, jobs: int) -> list[tuple[str, float, float, float]]:
    """Jobs a second of the no-op, of an empty job of ours and of one that opens its organization, and the ratio."""
    rows = []
    for count in (1, 2):
        plain = bench.rate(PLAIN, "bench.plain", count, jobs)
        for name in ("empty", "reading"):
            ours = bench.rate(OURS, f"__main__.{name}", count, jobs)
            rows.append((f"{name} job, {count} worker{'s' * (count - 1)}", ours, plain, ours / plain))
    return rows


async def deferral(bench: Bench, tries: int) -> tuple[float, float]:
    """Milliseconds of a transaction that defers a job, and of one that inserts a row, in turns; medians."""
    database = await Database.open(bench.urls.api, 2, "bench")
    try:
        taken: dict[str, list[float]] = {"defer": [], "insert": []}
        for _ in range(tries):
            taken["defer"].append(await _timed(database, bench, _defer_one))
            taken["insert"].append(await _timed(database, bench, _insert_one))
    finally:
        await database.close()
    return statistics.median(taken["defer"]), statistics.median(taken["insert"])


async def latency(bench: Bench, tries: int) -> list[float]:
    """Milliseconds from the commit to the start of a job, on an idle worker; sorted."""
    database = await Database.open(bench.urls.api, 2, "bench")
    committed: dict[str, float] = {}
    try:
        for _ in range(tries):
            subject = uuid4()
            async with database.tenant(bench.founded.organization_id, SYSTEM) as tenant:
                arguments = {"subject_id": str(subject)}
                await queue.defer(tenant, "__main__.timed", "billing", arguments, queue.Options())
            committed[str(subject)] = time.time()
            await asyncio.sleep(0.1)
    finally:
        await database.close()
    await asyncio.sleep(1)
    started = dict(line.split() for line in bench.starts.read_text().splitlines())
    return sorted(max(0.0, float(started[subject]) - at) * 1000 for subject, at in committed.items())


async def _timed(database: Database, bench: Bench, write: Callable[[Tenant], Awaitable[None]]) -> float:
    began = time.perf_counter()
    async with database.tenant(bench.founded.organization_id, SYSTEM) as tenant:
        await write(tenant)
    return (time.perf_counter() - began) * 1000


async def _defer_one(tenant: Tenant) -> None:
    await queue.defer(tenant, "bench.waiting", "maintenance", {"subject_id": str(uuid4())}, queue.Options())


async def _insert_one(tenant: Tenant) -> None:
    await tenant.conn.execute(
        "insert into messaging.suppressions (organization_id, id, channel, recipient, source, reason)"
        " values ($1, $2, 'email', $3, 'manual', 'bench')",
        tenant.organization_id, uuid4(), f"{uuid4().hex}@example.com",
    )  # fmt: skip


async def _found(urls: Urls) -> Founded:
    database = await Database.open(urls.api, 1, "bench")
    try:
        return await found(database, "pro", datetime.now(UTC))
    finally:
        await database.close()


def measure(jobs: int, tries: int) -> bool:
    """Measure and print; whether every target is met."""
    servers = TestServers.begin()
    try:
        with servers.database("bench_jobs") as name, tempfile.TemporaryDirectory() as folder:
            urls = servers.urls(name)
            bench = Bench(urls, servers.redis_url("bench"), Path(folder), asyncio.run(_found(urls)))
            return _measured(bench, jobs, tries)
    finally:
        servers.end()


def _measured(bench: Bench, jobs: int, tries: int) -> bool:
    rows = rates(bench, jobs)
    print(f"{'':28}{'ours/s':>10}{'no-op/s':>10}{'ratio':>8}")
    for name, ours, plain, ratio in rows:
        print(f"{name:28}{ours:10.0f}{plain:10.0f}{ratio:8.2f}")
    deferred, inserted = asyncio.run(deferral(bench, tries))
    ratio = deferred / inserted
    print(f"{'transaction that defers':28}{deferred:8.2f}ms, that inserts {inserted:.2f} ms, ratio {ratio:.2f}")
    with bench.workers(OURS, 1):
        waits = asyncio.run(latency(bench, min(tries, 100)))
    median, late = statistics.median(waits), waits[int(len(waits) * 0.95)]
    print(f"{'from commit to start, idle':28}{median:8.2f}ms median, {late:.2f} ms in 95 of 100")
    slowest = min(ratio for name, *_, ratio in rows if name.startswith("empty"))
    return slowest >= LEAST_RATE and median < MOST_LATENCY_MS


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="mts bench jobs", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=1500, help="jobs of each kind (default: 1500)")
    parser.add_argument("--tries", type=int, default=200, help="transactions of each kind (default: 200)")
    args = parser.parse_args()
    return int(not measure(args.jobs, args.tries))


if __name__ == "__main__":
    raise SystemExit(main())
