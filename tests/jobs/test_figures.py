"""What a monitoring system reads about the queues: on the API's /metrics, for all processes, of no organization."""

import re
import time
from uuid import uuid4

import psycopg

from api.metrics import KEPT_SECONDS, QueueFigures
from db import queue
from db.pool import Database
from db.types import SYSTEM, OrganizationId
from jobs.messages import drain
from jobs.resources import open_resources
from tests.founding import found
from tests.stack import Stack


async def _text(stack: Stack) -> str:
    return (await stack.http.get("/metrics")).text


def _value(text: str, name: str) -> float:
    found_line = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found_line, f"{name} is not in\n{text}"
    return float(found_line[1])


async def test_depth_age_and_failures_of_the_queues_are_shown_without_organizations(stack: Stack) -> None:
    api = stack.resources.database
    founded = await found(api)
    before = await _text(stack)
    assert _value(before, 'jobs_waiting{queue="mail"}') == 0
    ids = [await _deferred(api, founded.organization_id) for _ in range(3)]
    with psycopg.connect(stack.urls.superuser, autocommit=True, options="-c search_path=jobs") as conn:
        conn.execute("update procrastinate_events set at = now() - interval '90 s' where job_id = %s", [ids[0]])
        conn.execute("update procrastinate_jobs set status = 'doing' where id = %s", [ids[2]])
        conn.execute("update procrastinate_jobs set status = 'failed' where id = %s", [ids[2]])
    deadline = time.monotonic() + KEPT_SECONDS + 5
    while _value(text := await _text(stack), 'jobs_waiting{queue="mail"}') == 0:
        assert time.monotonic() < deadline
    assert _value(text, 'jobs_waiting{queue="mail"}') == 2
    assert _value(text, 'jobs_failed{queue="mail"}') == 1
    assert 90 <= _value(text, 'jobs_oldest_seconds{queue="mail"}') < 150
    assert _value(text, "mails_waiting") == 2
    assert str(founded.organization_id) not in text


async def test_a_scrape_is_answered_while_postgres_is_away() -> None:
    away = await Database.open("postgresql://nobody:x@127.0.0.1:9/none", 1, "tests")
    try:
        assert await QueueFigures(away).read() == []
    finally:
        await away.close()


async def _deferred(api: Database, organization_id: OrganizationId) -> int:
    async with api.tenant(organization_id, SYSTEM) as tenant:
        job_id = await queue.defer(tenant, "email.send", "mail", {"email_id": str(uuid4())}, queue.Options())
    assert job_id is not None
    return job_id


async def test_the_workers_rounds_count_the_messages_that_wait(stack: Stack) -> None:
    async with open_resources(stack.worker_settings) as resources:
        await drain.run(resources)
    async with stack.resources.database.resolver(read_only=True) as conn:
        figures = {figure.figure: figure.value for figure in await queue.figures(conn)}
    assert figures["messages_waiting"] == 0
