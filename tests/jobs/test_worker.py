"""A worker process keeps every job: it finishes or gives back when it stops, and others take over from a killed one."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import procrastinate
import psycopg
import pytest

from cli.embedded.ports import free_port
from db import queue
from db.pool import Database
from db.types import SYSTEM
from jobs.connector import connector
from jobs.worker import concurrency
from settings import Settings, SettingsError
from tests.cli.programs import eventually
from tests.founding import Founded, found
from tests.jobs.programs import WorkerProcess, entries
from tests.servers import Urls

pytestmark = pytest.mark.timeout(90)

Start = Callable[..., WorkerProcess]
TAKEN = (
    "status = 'doing' and task_name like '__main__.%'"  # the worker's own periodic jobs run beside those of the tests
)


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    """What the jobs of a test write down."""
    return tmp_path / "diary"


@pytest.fixture
def start(urls: Urls, redis_url: str, diary: Path) -> Iterator[Start]:
    """Starts worker processes, which end with the test."""
    processes: list[WorkerProcess] = []

    def begin(**variables: str) -> WorkerProcess:
        settings = {
            "DATABASE_URL": urls.worker,
            "REDIS_URL": redis_url,
            "SMTP_URL": "smtp://127.0.0.1:9",
            "JWT_SECRET": "x" * 32,
        }
        processes.append(WorkerProcess(diary, **settings, **variables))
        return processes[-1]

    yield begin
    for process in processes:
        process.end()
        print(process.output)
    with psycopg.connect(urls.superuser, autocommit=True) as conn:
        conn.execute("truncate jobs.procrastinate_jobs, jobs.procrastinate_workers cascade")


async def _defer(api: Database, founded: Founded, task: str, name: str, subject: UUID) -> None:
    async with api.tenant(founded.organization_id, SYSTEM) as tenant:
        await queue.defer(tenant, task, name, {"subject_id": str(subject)}, queue.Options())


def _in_hand(urls: Urls) -> set[str]:
    """What the jobs of the tests are about that some worker has taken and not finished."""
    with psycopg.connect(urls.superuser) as conn:
        statement = f"select args ->> 'subject_id' from jobs.procrastinate_jobs where {TAKEN}"
        return {subject for (subject,) in conn.execute(statement)}


def _left(urls: Urls) -> list[tuple[str, str]]:
    """The jobs of the tests that are still in the table."""
    with psycopg.connect(urls.superuser) as conn:
        statement = "select task_name, status::text from jobs.procrastinate_jobs where task_name like '__main__.%'"
        return list(conn.execute(statement).fetchall())


async def test_a_stopped_worker_finishes_what_is_short_and_gives_back_what_is_long(
    api: Database, urls: Urls, start: Start, diary: Path
) -> None:
    founded, short, long = await found(api), uuid4(), uuid4()
    first = start(WORKER_STOP_SECONDS="1")
    eventually(lambda: first.is_working)
    await _defer(api, founded, "__main__.long", "mail", long)
    eventually(lambda: entries(diary, "begin") == [str(long)])
    await _defer(api, founded, "__main__.short", "billing", short)
    eventually(lambda: str(short) in entries(diary, "begin"))
    begin = time.monotonic()
    assert first.stop() == 0, first.output
    assert time.monotonic() - begin < 6
    assert entries(diary, "end") == [str(short)]
    assert entries(diary, "cut") == [str(long)]
    assert _left(urls) == [("__main__.long", "todo")]
    start()
    eventually(lambda: entries(diary, "begin").count(str(long)) == 2)


async def test_jobs_of_killed_and_stopped_workers_all_end_and_only_what_a_killed_one_had_in_hand_runs_again(
    api: Database, urls: Urls, start: Start, diary: Path
) -> None:
    founded, subjects = await found(api), [uuid4() for _ in range(40)]
    first, second = start(), start()
    eventually(lambda: first.is_working and second.is_working)
    for subject in subjects:
        await _defer(api, founded, "__main__.short", "billing", subject)
    eventually(lambda: len(entries(diary, "end")) >= 6)
    first.kill()
    assert second.stop() == 0
    in_hand = _in_hand(urls)  # of the killed one: the other has finished its own or given them back
    start()
    eventually(lambda: not _left(urls), 45)
    ends = Counter(entries(diary, "end"))
    assert set(ends) == {str(subject) for subject in subjects}
    assert len(in_hand) <= 4
    assert {subject for subject, count in ends.items() if count > 1} <= in_hand, (
        "killed after its end, before it said so"
    )
    assert {subject for subject, count in Counter(entries(diary, "begin")).items() if count > 1} <= in_hand


async def test_a_long_queue_does_not_hold_up_another(api: Database, start: Start, diary: Path) -> None:
    founded, subject = await found(api), uuid4()
    for _ in range(3):
        await _defer(api, founded, "__main__.long", "mail", uuid4())
    await _defer(api, founded, "__main__.short", "billing", subject)
    process = start(WORKER_CONCURRENCY="mail=1,billing=1")
    eventually(lambda: str(subject) in entries(diary, "end"))
    assert len(entries(diary, "begin")) == 2, "one of each queue at once"
    process.kill()


async def test_a_notification_of_anybodys_stops_no_job(api: Database, urls: Urls, start: Start, diary: Path) -> None:
    """Row security knows no channels, and NOTIFY asks for no right: what a notification says is not believed."""
    founded, long, short = await found(api), uuid4(), uuid4()
    process = start()
    eventually(lambda: process.is_working)
    await _defer(api, founded, "__main__.long", "mail", long)
    eventually(lambda: entries(diary, "begin") == [str(long)])
    with psycopg.connect(urls.superuser) as conn:
        job = conn.execute(f"select id from jobs.procrastinate_jobs where {TAKEN}").fetchone()
    assert job
    with psycopg.connect(urls.exporter, autocommit=True) as conn:
        for words in (json.dumps({"type": "abort_job_requested", "job_id": job[0]}), "no JSON", "{}"):
            for channel in ("procrastinate_any_queue_v1", "procrastinate_queue_v1#mail"):
                conn.execute("select pg_notify(%s, %s)", [channel, words])
    await _defer(api, founded, "__main__.short", "billing", short)
    eventually(lambda: str(short) in entries(diary, "end"))
    assert entries(diary, "cut") == []
    assert "worker.queue_interrupted" not in process.output
    process.kill()


async def test_a_job_that_is_cancelled_stops_all_the_same(api: Database, urls: Urls, start: Start, diary: Path) -> None:
    founded, long = await found(api), uuid4()
    process = start()
    eventually(lambda: process.is_working)
    await _defer(api, founded, "__main__.long", "mail", long)
    eventually(lambda: entries(diary, "begin") == [str(long)])
    with psycopg.connect(urls.worker, options="-c search_path=jobs") as conn:
        (job,) = conn.execute(f"select id from procrastinate_jobs where {TAKEN}").fetchall()
        conn.execute("select procrastinate_cancel_job_v1(%s, true, false)", job)
    eventually(lambda: entries(diary, "cut") == [str(long)])
    process.kill()


async def test_a_queue_that_is_left_out_is_left_to_others(api: Database, urls: Urls, start: Start, diary: Path) -> None:
    founded, mail, bill = await found(api), uuid4(), uuid4()
    await _defer(api, founded, "__main__.long", "mail", mail)
    await _defer(api, founded, "__main__.short", "billing", bill)
    start(WORKER_CONCURRENCY="billing=2")
    eventually(lambda: str(bill) in entries(diary, "end"))
    assert entries(diary, "begin") == [str(bill)]
    assert ("__main__.long", "todo") in _left(urls)


async def test_a_worker_serves_its_own_metrics_where_a_port_is_named(api: Database, start: Start, diary: Path) -> None:
    port = free_port()
    process = start(WORKER_METRICS_PORT=str(port))
    eventually(lambda: process.is_working)
    await _defer(api, await found(api), "__main__.short", "billing", uuid4())
    eventually(lambda: entries(diary, "end"))
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    assert 'job_duration_seconds_count{outcome="done",task="__main__.short"} 1.0' in text


async def test_why_a_job_failed_is_kept_without_addresses(api: Database, urls: Urls, start: Start, diary: Path) -> None:
    await _defer(api, await found(api), "__main__.wrong", "billing", uuid4())
    start()
    eventually(lambda: _left(urls) == [("__main__.wrong", "failed")])
    with psycopg.connect(urls.superuser) as conn:
        kept = conn.execute("select attempt, error from jobs.job_errors").fetchall()
    assert kept == [(1, "RuntimeError: no way for (address)")]


async def test_a_tick_is_left_out_while_another_waits_and_the_schedule_goes_on(urls: Urls) -> None:
    app = procrastinate.App(connector=connector(urls.worker))

    @app.task(name="tests.tick", queue="maintenance")
    async def tick(timestamp: int) -> None:
        raise AssertionError("nobody works here")

    async with app.open_async():
        for timestamp in (1, 2):
            waiting = tick.configure(queueing_lock="tests.tick", task_kwargs={"timestamp": timestamp}).job
            deferred = app.job_manager.defer_periodic_job(job=waiting, periodic_id="", defer_timestamp=timestamp)
            if timestamp == 1:
                assert await deferred
            else:
                with pytest.raises(procrastinate.exceptions.AlreadyEnqueued):
                    await deferred


@pytest.mark.parametrize("text", ["mail=1,mail=2"])
def test_a_queue_named_twice_is_refused(settings: Settings, text: str) -> None:
    with pytest.raises(SettingsError, match="name each queue once"):
        concurrency(settings.model_copy(update={"worker_concurrency": text}))
