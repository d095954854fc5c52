"""`mts jobs` shows, retries and cancels what a real queue holds, and tells nothing but ids."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from cli.tables import table
from db import queue
from db.pool import Database
from db.types import SYSTEM, OrganizationId
from tests.cli.programs import environment, mts
from tests.founding import found
from tests.servers import Urls


@pytest.fixture
async def api(urls: Urls) -> AsyncIterator[Database]:
    """The door of an API process."""
    opened = await Database.open(urls.api, 2, "tests")
    yield opened
    await opened.close()
    with psycopg.connect(urls.superuser, autocommit=True) as conn:
        conn.execute("truncate jobs.procrastinate_jobs cascade")


async def _defer(api: Database, organization_id: OrganizationId, task: str = "email.send") -> int:
    async with api.tenant(organization_id, SYSTEM) as tenant:
        arguments = {"email_id": str(uuid4()), "address": "ada@example.com"}
        job_id = await queue.defer(tenant, task, "mail", arguments, queue.Options())
    assert job_id is not None
    return job_id


def _jobs(urls: Urls, tmp_path: Path, *arguments: str) -> tuple[int, str, str]:
    env = environment(
        DATABASE_URL=urls.worker, REDIS_URL="redis://127.0.0.1:1", SMTP_URL="smtp://127.0.0.1:1",
        JWT_SECRET="x" * 32, DATA_DIR=str(tmp_path),
    )  # fmt: skip
    answer = mts("jobs", *arguments, env=env)
    return answer.returncode, answer.stdout, answer.stderr


def _ids(listed: str) -> list[str]:
    return [line.split()[0] for line in listed.splitlines()[1:]]


def _end(urls: Urls, job_id: int, status: str) -> None:
    """Bring a job to an end as its worker would."""
    with psycopg.connect(urls.superuser, autocommit=True, options="-c search_path=jobs") as conn:
        conn.execute("update jobs.procrastinate_jobs set status = 'doing' where id = %s", [job_id])
        conn.execute("update jobs.procrastinate_jobs set status = %s, attempts = 3 where id = %s", [status, job_id])
        conn.execute("insert into jobs.job_errors values (%s, 3, now(), 'MailRefused: 550 at recipient')", [job_id])


async def test_jobs_are_listed_by_status_queue_and_organization(api: Database, urls: Urls, tmp_path: Path) -> None:
    one, other = await found(api), await found(api)
    waiting, failed = await _defer(api, one.organization_id), await _defer(api, other.organization_id)
    _end(urls, failed, "failed")
    code, listed, _ = _jobs(urls, tmp_path, "list")
    assert code == 0
    assert [line.split()[:4] for line in listed.splitlines()] == [
        ["ID", "STATUS", "QUEUE", "TASK"],
        [str(failed), "failed", "mail", "email.send"],
        [str(waiting), "todo", "mail", "email.send"],
    ]
    assert f"organization={one.organization_id}" in listed
    assert "ada@example.com" not in listed
    assert _ids(_jobs(urls, tmp_path, "list", "--failed")[1]) == [str(failed)]
    of_one = _jobs(urls, tmp_path, "list", "--organization", str(one.organization_id), "--queue", "mail")[1]
    assert _ids(of_one) == [str(waiting)]


async def test_a_job_is_shown_with_its_history_and_its_error(api: Database, urls: Urls, tmp_path: Path) -> None:
    job_id = await _defer(api, (await found(api)).organization_id)
    _end(urls, job_id, "failed")
    code, shown, _ = _jobs(urls, tmp_path, "show", str(job_id))
    assert code == 0
    for word in (f"Job {job_id}: email.send", "is failed after 3 tries", "deferred", "started", "550 at recipient"):
        assert word in shown
    assert "ada@example.com" not in shown


async def test_a_failed_job_waits_again_with_all_its_tries(api: Database, urls: Urls, tmp_path: Path) -> None:
    organization_id = (await found(api)).organization_id
    job_id, other = await _defer(api, organization_id), await _defer(api, organization_id)
    for failed in (job_id, other):
        _end(urls, failed, "failed")
    assert _jobs(urls, tmp_path, "retry", str(job_id)) == (0, f"Job {job_id} waits again.\n", "")
    assert _jobs(urls, tmp_path, "retry", "--all-failed") == (0, "1 of 1 failed jobs wait again.\n", "")
    async with api.resolver(read_only=True) as conn:
        assert await queue.figures(conn)
    code, _, told = _jobs(urls, tmp_path, "retry", str(job_id))
    assert (code, told) == (1, f"Job {job_id} has not ended: it is todo.\n")


async def test_a_twin_that_waits_keeps_a_failed_job_from_waiting_too(api: Database, urls: Urls, tmp_path: Path) -> None:
    ids = []
    for _ in range(2):
        async with api.resolver() as conn:
            options = queue.Options(queueing_lock="messages.drain")
            ids.append(await queue.defer_global(conn, "messages.drain", "messages", {}, options))
        if len(ids) == 1:
            _end(urls, ids[0] or 0, "failed")
    code, _, told = _jobs(urls, tmp_path, "retry", str(ids[0]))
    assert (code, told) == (1, f"A twin of job {ids[0]} waits already.\n")


async def test_a_waiting_job_is_cancelled_once(api: Database, urls: Urls, tmp_path: Path) -> None:
    job_id = await _defer(api, (await found(api)).organization_id)
    assert _jobs(urls, tmp_path, "cancel", str(job_id)) == (0, f"Job {job_id} is cancelled.\n", "")
    code, _, told = _jobs(urls, tmp_path, "cancel", str(job_id))
    assert (code, told) == (1, f"Job {job_id} has ended already: it is cancelled.\n")


async def test_the_queues_are_watched(api: Database, urls: Urls, tmp_path: Path) -> None:
    await _defer(api, (await found(api)).organization_id)
    code, seen, _ = _jobs(urls, tmp_path, "watch", "--times", "2", "--every", "0.1")
    assert code == 0
    mail = [line.split()[:2] for line in seen.splitlines() if line.startswith("mail ")]
    assert mail == [["mail", "1"], ["mail", "1"]]
    assert "mails waiting: 1" in seen


def test_a_job_that_is_not_there_is_a_sentence(urls: Urls, tmp_path: Path) -> None:
    for action in ("show", "retry", "cancel"):
        assert _jobs(urls, tmp_path, action, "999999") == (1, "", "Job not found.\n")


def test_columns_are_as_wide_as_they_need() -> None:
    assert table(("ID", "NAME"), [("1", "a"), ("20", "bcdef")]) == "ID  NAME\n 1  a\n20  bcdef"
