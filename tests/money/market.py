"""Where the simulation's customers pay: both providers' sandboxes, the API that hears them, and workers to kill."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg

from cli.embedded.ports import free_port
from db import maintenance
from db.errors import Unavailable
from jobs.providers.payments import PaymentState
from jobs.providers.paystack_events import parse_event, sign
from jobs.resources import Resources, open_resources
from settings import Settings
from tests.cli.programs import environment
from tests.money.shop import PAYSTACK_KEY, STRIPE_KEY, STRIPE_SECRET, with_providers
from tests.money.turned import SharedClock
from tests.servers import Urls
from tests.stack import serving, settings_for

WORKERS = 2
PATIENCE, LOOKS_EVERY = 1200.0, 0.15
SHORT_LIVED = httpx.Limits(keepalive_expiry=2)  # the sandbox closes what was idle for five seconds
# The waits of retries are passed over, and a worker that did not hear of a job hears of it now.
HURRY = """
with hurried as (
    update jobs.procrastinate_jobs set scheduled_at = null
    where queue_name = 'billing' and status = 'todo' and scheduled_at is not null
    returning id
)
select pg_notify('procrastinate_queue_v1#billing', json_build_object('type', 'job_inserted', 'job_id', max(j.id))::text)
from jobs.procrastinate_jobs j left join hurried using (id)
where j.queue_name = 'billing' and j.status = 'todo'
having count(*) > 0
"""
WAITING = """
select j.task_name, j.status, j.attempts, w.last_heartbeat > now() - interval '3 seconds' as has_living_worker, count(*)
from jobs.procrastinate_jobs j left join jobs.procrastinate_workers w on w.id = j.worker_id
where j.queue_name = 'billing' and j.status in ('todo', 'doing')
group by 1, 2, 3, 4
"""


@dataclass
class Market:
    """`api` and `worker` are what a process of each kind holds; both read the shared clock."""

    urls: Urls
    clock: SharedClock
    api: Resources
    worker: Resources
    outside: httpx.AsyncClient
    folder: Path
    start_worker: Callable[[], "subprocess.Popen[bytes]"]
    workers: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    kills: int = 0

    async def press(self, page: str, outcome: str) -> None:
        """Press a button on a provider's page, again when the connection ends; on a closed page nothing happens."""
        while True:
            with suppress(httpx.TransportError):
                await self.outside.post(page, data={"outcome": outcome})
                return

    async def control(self, target: str = "", **body: Any) -> dict[str, Any]:
        """Set faults, or make happen what only a bank can."""
        answer = await self.outside.post(f"/control/{target}".rstrip("/"), json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def misbehave(self, events: int) -> None:
        """Of the next events some come twice, some never, all out of order; some calls fail or lose their answer."""
        for provider in ("stripe", "paystack"):
            await self.control(
                provider=provider, duplicate_webhooks=events // 3, drop_webhooks=events // 20, reorder=True,
                fail_next=events // 20, lose_next=events // 20, status=503,
            )  # fmt: skip

    async def behave(self) -> None:
        """Every fault is over."""
        for provider in ("stripe", "paystack"):
            await self.control(provider=provider, reset=True)

    def kill_one(self, chance: random.Random) -> None:
        """One worker ends at once, whatever it does; another takes its place."""
        victim = self.workers.pop(chance.randrange(len(self.workers)))
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        self.kills += 1
        self.workers.append(self.start_worker())

    async def quiet(self) -> None:
        """Return once every event has been taken and every job is done; the waits of retries are passed over."""
        deadline = time.monotonic() + PATIENCE
        left: object = None
        while time.monotonic() < deadline:
            with suppress(psycopg.OperationalError, Unavailable):
                await maintenance.rescue_stalled_jobs(self.worker.database, 3.0)
                left = await asyncio.to_thread(self._jobs_left), await self._events_left()
                if left == ([], 0):
                    return
            await asyncio.sleep(LOOKS_EVERY)
        raise AssertionError(f"jobs and events still wait: {left}")

    def _jobs_left(self) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.urls.superuser, autocommit=True) as conn:
            conn.execute(HURRY)
            return conn.execute(WAITING).fetchall()

    async def _events_left(self) -> int:
        state = (await self.outside.get("/control")).json()
        return sum(state[provider]["deliveries"]["waiting"] for provider in ("stripe", "paystack"))

    async def again(self, act: Callable[[], Awaitable[Any]]) -> Any:
        """Do something until the stores and the providers let it through."""
        while True:
            with suppress(Unavailable):
                return await act()
            await asyncio.sleep(0.05)

    async def truth(self) -> dict[str, PaymentState]:
        """What the providers hold, by reference."""
        since = datetime(2000, 1, 1, tzinfo=UTC)
        return {
            state.reference: state
            for provider in self.worker.payments.values()
            async for state in provider.list_payments(since)
        }

    def told(self) -> set[tuple[str, str]]:
        """Provider and event id, as our inbox knows it, of every event that was posted and taken."""
        with sqlite3.connect(f"file:{self.folder}/sandbox.sqlite3?mode=ro", uri=True) as conn:
            rows = conn.execute("select provider, event_id, body from deliveries where state = 'delivered'").fetchall()
        return {(provider, event if provider == "stripe" else _paystack_id(body)) for provider, event, body in rows}


def _paystack_id(body: bytes) -> str:
    headers = {"x-paystack-signature": sign(body, PAYSTACK_KEY)}
    return parse_event(body, headers, PAYSTACK_KEY, datetime.now(UTC)).event_id


@asynccontextmanager
async def market(urls: Urls, redis_url: str, folder: Path) -> AsyncIterator[Market]:
    """All of it over one database."""
    port, clock_file = free_port(), folder / "clock"
    clock = SharedClock(clock_file)
    async with AsyncExitStack() as cleanup:
        api_settings = with_providers(settings_for(urls.api, redis_url, 9, folder), port)
        worker_settings = with_providers(settings_for(urls.worker, redis_url, 9, folder), port)
        http, api = await cleanup.enter_async_context(serving(api_settings, clock))
        hooks = f"{str(http.base_url).rstrip('/')}/api/v1/webhooks"
        cleanup.callback(_end, [_sandbox(clock_file, folder, port, hooks)])
        worker = await cleanup.enter_async_context(open_resources(worker_settings, clock))
        base = f"http://127.0.0.1:{port}"
        outside = await cleanup.enter_async_context(httpx.AsyncClient(base_url=base, timeout=60, limits=SHORT_LIVED))
        await _answers(outside)

        def start() -> "subprocess.Popen[bytes]":
            return _run("worker", clock_file, folder, **_variables(worker_settings))

        workers = [start() for _ in range(WORKERS)]
        cleanup.callback(_end, workers)
        yield Market(urls, clock, api, worker, outside, folder, start, workers)


def _variables(settings: Settings) -> dict[str, str]:
    """The settings of a worker process."""
    told = settings.model_dump(include={"environment", "smtp_url", "base_url", "mail_from", "log_level"})
    secrets = {"database_url", "redis_url", "smtp_url", "jwt_secret", "stripe_secret_key", "paystack_secret_key"}
    told |= {name: getattr(settings, name).get_secret_value() for name in secrets}
    told |= {"stripe_api_base": settings.stripe_api_base, "paystack_api_base": settings.paystack_api_base}
    return {name.upper(): str(value) for name, value in told.items()}


def _sandbox(clock_file: Path, folder: Path, port: int, hooks: str) -> "subprocess.Popen[bytes]":
    return _run(
        "sandbox", clock_file, folder, SANDBOX_DATA_DIR=str(folder), SANDBOX_HTTP_PORT=str(port),
        SANDBOX_WEBHOOK_BASE=hooks, SANDBOX_STRIPE_KEY=STRIPE_KEY, SANDBOX_STRIPE_WEBHOOK_SECRET=STRIPE_SECRET,
        SANDBOX_PAYSTACK_KEY=PAYSTACK_KEY, SANDBOX_TWILIO_SID="AC00000000000000000000000000000001",
        SANDBOX_TWILIO_TOKEN="twilio-token",
    )  # fmt: skip


def _run(what: str, clock_file: Path, folder: Path, **variables: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-m", "tests.money.turned", what, str(clock_file)]
    with (folder / f"{what}-{os.urandom(3).hex()}.log").open("wb") as output:
        return subprocess.Popen(command, env=environment(**variables), stdout=output, stderr=output)


async def _answers(outside: httpx.AsyncClient) -> None:
    for _ in range(400):
        with suppress(httpx.TransportError):
            await outside.get("/control")
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the sandbox does not start")


def _end(processes: "list[subprocess.Popen[bytes]]") -> None:
    for process in processes:
        process.kill()
        process.wait()
