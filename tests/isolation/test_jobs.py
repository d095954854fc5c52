"""Jobs stay inside the boundary: deferred for the organization in context, seen by it alone, and not to be forged."""

import json
from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from db.types import new_id
from tests.servers import Urls
from tests.stack import Stack

DEFER = "select jobs.defer('email.send', 'mail', %s, %s, %s)"


@pytest.fixture
def api(urls: Urls) -> Iterator[psycopg.Connection]:
    """The API's role."""
    with psycopg.connect(urls.api) as conn:
        yield conn


@pytest.fixture
def worker(urls: Urls) -> Iterator[psycopg.Connection]:
    """The worker's role."""
    with psycopg.connect(urls.worker) as conn:
        yield conn


def enter(conn: psycopg.Connection, organization_id: UUID) -> None:
    conn.execute("select set_config('app.current_org_id', %s, true)", [str(organization_id)])


def defer(conn: psycopg.Connection, organization_id: UUID, lock: str | None = None) -> int:
    enter(conn, organization_id)
    row = conn.execute(DEFER, [json.dumps({"email_id": str(uuid4())}), lock, lock]).fetchone()
    conn.commit()
    assert row
    return int(row[0])


def test_a_job_is_stamped_with_the_organization_in_context_whatever_it_says(
    api: psycopg.Connection, worker: psycopg.Connection
) -> None:
    mine, other = uuid4(), uuid4()
    enter(api, mine)
    job = api.execute(DEFER, [json.dumps({"organization_id": str(other)}), "x", "x"]).fetchone()
    api.commit()
    row = worker.execute(
        "select args ->> 'organization_id', lock, queueing_lock from jobs.procrastinate_jobs where id = %s", job
    ).fetchone()
    assert row == (str(mine), f"{mine}:x", f"{mine}:x")


def test_one_organizations_lock_does_not_hold_up_another(api: psycopg.Connection) -> None:
    assert defer(api, uuid4(), "same")
    assert defer(api, uuid4(), "same")


def test_without_an_organization_nothing_is_deferred(api: psycopg.Connection) -> None:
    with pytest.raises(psycopg.Error) as refused:
        api.execute(DEFER, ["{}", None, None])
    assert refused.value.sqlstate == "ORG01"


def test_a_task_of_an_organization_has_no_side_door(api: psycopg.Connection) -> None:
    with pytest.raises(psycopg.Error) as refused:
        api.execute("select jobs.defer_global('email.send', 'mail', '{}')")
    assert refused.value.sqlstate == "ORG03"


@pytest.mark.parametrize(
    "statement",
    [
        "select * from jobs.procrastinate_jobs",
        "insert into jobs.procrastinate_jobs (queue_name, task_name) values ('mail', 'email.send')",
        "update jobs.procrastinate_jobs set status = 'failed'",
        "delete from jobs.procrastinate_jobs",
        "select * from jobs.procrastinate_events",
        "insert into jobs.procrastinate_workers default values",
    ],
)
def test_the_api_has_no_hand_in_the_queue(api: psycopg.Connection, statement: str) -> None:
    enter(api, uuid4())
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        api.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "update jobs.procrastinate_jobs set args = '{}'",
        "update jobs.procrastinate_jobs set task_name = 'billing.close_month'",
        "update jobs.procrastinate_jobs set id = id + 1000",
        "insert into jobs.procrastinate_jobs (queue_name, task_name, args) values ('', '', '{\"organization_id\": 1}')",
        "truncate jobs.procrastinate_jobs cascade",
    ],
)
def test_the_worker_cannot_make_a_job_another_one(worker: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        worker.execute(statement)


def test_an_operator_sees_the_jobs_of_the_organization_in_context(api: psycopg.Connection, urls: Urls) -> None:
    mine, other = uuid4(), uuid4()
    job = defer(api, mine)
    defer(api, other)
    with psycopg.connect(urls.auditor) as auditor:
        enter(auditor, mine)
        assert auditor.execute("select id from jobs.procrastinate_jobs").fetchall() == [(job,)]
        auditor.rollback()
        with pytest.raises(psycopg.Error) as refused:
            auditor.execute("select id from jobs.procrastinate_jobs")
        assert refused.value.sqlstate == "ORG01"


def test_a_notification_carries_ids_only(api: psycopg.Connection, urls: Urls) -> None:
    with psycopg.connect(urls.worker, autocommit=True) as listener:
        listener.execute("listen procrastinate_any_queue_v1")
        job = defer(api, uuid4())
        notification = next(listener.notifies(timeout=10, stop_after=1))
    assert json.loads(notification.payload) == {"type": "job_inserted", "job_id": job}


async def test_a_tampered_job_changes_nothing(stack: Stack, urls: Urls) -> None:
    """The worker finds no mail of one organization under another one's id, and its own queue goes on."""
    victim, attacker = await stack.register("Victim"), await stack.register("Attacker")
    email_id = new_id()
    with psycopg.connect(urls.superuser, options="-c search_path=jobs") as conn:
        conn.execute(
            "insert into messaging.emails (organization_id, id, kind, subject_id, recipient) "
            "values (%s, %s, 'welcome', %s, 'victim@mts-test.com')",
            [victim.organization["id"], email_id, uuid4()],
        )
        conn.execute(
            "insert into jobs.procrastinate_jobs (queue_name, task_name, args) values ('mail', 'email.send', %s)",
            [json.dumps({"organization_id": attacker.organization["id"], "email_id": str(email_id)})],
        )
        conn.commit()
        await stack.work()
        row = conn.execute("select status, attempts from messaging.emails where id = %s", [email_id]).fetchone()
    assert row == ("queued", 0)
    assert stack.mails("victim@mts-test.com") == []
    assert (await stack.join(attacker)).token
