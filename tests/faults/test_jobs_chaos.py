"""Messages and mails flow while workers are killed, Postgres is restarted and the mail server refuses: nothing is lost.

A recipient may see a mail twice only as documented: a worker ended, or the database went, between the mail server's yes
and our note of it, or the connection was lost before the yes. All copies then bear the same Message-ID.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from cli.embedded import EmbeddedPostgres
from db import messages, migrate
from db.bootstrap import LOGIN_ROLES, bootstrap, role_url
from db.errors import Unavailable
from db.pool import Database
from db.types import SYSTEM, ApiKeyId
from jobs import email
from jobs.providers.sandbox.mail import MailFault, start_smtp
from jobs.providers.sandbox.mail_store import Mailbox
from jobs.waker import Waker
from tests.founding import Founded, found, new_key
from tests.jobs.programs import WorkerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ORGANIZATIONS = 8
MESSAGES, MAILS = 1000, 240
SETTLED_WITHIN = 75.0
LEFT = """
select (select count(*) from messaging.messages where status <> 'sent')
     + (select count(*) from messaging.emails where status <> 'sent')
"""
# The waits of retries are passed over: how long they are is another test's promise.
HURRY = (
    "update messaging.messages set next_attempt_at = now() where status = 'queued'",
    "update jobs.procrastinate_jobs set scheduled_at = null where status = 'todo'",
)


@dataclass
class Chaos:
    """The installation under attack and what was asked of it."""

    postgres: EmbeddedPostgres
    mailbox: Mailbox
    api: Database
    start_worker: Callable[[], WorkerProcess]
    workers: list[WorkerProcess] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    kills: int = 0

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """Ask Postgres around all row security."""
        with psycopg.connect(self.postgres.superuser_url("chaos"), autocommit=True) as conn:
            cursor = conn.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
async def chaos(tmp_path: Path, redis_url: str) -> AsyncIterator[Chaos]:
    """A Postgres of its own, a mail server in this loop, and two worker processes."""
    with _postgres(tmp_path) as postgres:
        mailbox = Mailbox(tmp_path / "mail")
        catcher = await start_smtp(0, mailbox)
        passwords = _passwords()
        variables = {
            "DATABASE_URL": role_url(postgres.superuser_url(), "chaos", "app_worker", passwords["app_worker"]),
            "REDIS_URL": redis_url,
            "SMTP_URL": f"smtp://127.0.0.1:{catcher.port}",
            "JWT_SECRET": "x" * 32,
            "WORKER_STOP_SECONDS": "5",
        }
        url = role_url(postgres.superuser_url(), "chaos", "app_api", passwords["app_api"])
        api = await Database.open(url, 8, "tests")
        under = Chaos(postgres, mailbox, api, lambda: WorkerProcess(tmp_path / "diary", **variables))
        under.workers = [under.start_worker() for _ in range(2)]
        yield under
        for worker in under.workers:
            worker.end()
        await api.close()
        await catcher.stop()


async def test_nothing_is_lost_while_everything_breaks(chaos: Chaos) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    breaking = random.Random(seed)
    await _until(lambda: all(worker.is_working for worker in chaos.workers), 40)
    async with _flowing(chaos):
        await _kill_one(chaos, breaking)
        async with _refusing(chaos):
            await asyncio.sleep(breaking.uniform(1.5, 3))
        await _kill_one(chaos, breaking)
        await asyncio.to_thread(_restart_postgres, chaos)
        chaos.mailbox.faults.add(MailFault(kind="drop", at="content", times=5))
        chaos.mailbox.faults.add(MailFault(kind="drop", at="before_data", times=5))
        await asyncio.sleep(1)
        await _kill_one(chaos, breaking)
    began = time.monotonic()
    await _until(lambda: _is_settled(chaos), SETTLED_WITHIN)
    print(f"settled {time.monotonic() - began:.1f} s after the last blow")
    _nothing_is_lost(chaos)


def _nothing_is_lost(chaos: Chaos) -> None:
    """Every asked-for mail has arrived, and copies of one are copies: the same Message-ID, and few."""
    mails = chaos.mailbox.find(limit=20_000)
    arrived = Counter(recipient for mail in mails for recipient in mail.recipients)
    assert chaos.asked <= set(arrived), f"lost: {sorted(chaos.asked - set(arrived))[:5]}"
    ids: dict[str, set[str]] = {}
    for mail in (mail for mail in mails if mail.recipients[0] in chaos.asked):
        ids.setdefault(mail.recipients[0], set()).add(str(mail.message["Message-ID"]))
    assert {recipient for recipient, seen in ids.items() if len(seen) > 1} == set()
    copies = sum(arrived.values()) - len(arrived)
    print(f"{len(arrived)} mails arrived, {copies} of them once more")
    assert copies <= 10 + (chaos.kills + 2) * 60, "only what was in hand at a blow may come twice"
    failed = "select task_name, x.error from jobs.procrastinate_jobs j left join jobs.job_errors x on x.job_id = j.id"
    assert chaos.rows(f"{failed} where j.status = 'failed'") == []
    assert chaos.rows("select count(*) from messaging.messages where status = 'failed'") == [(0,)]


@asynccontextmanager
async def _flowing(chaos: Chaos) -> AsyncIterator[None]:
    """Messages and mails are asked for, by several at once, from the beginning of the block to after its end."""
    organizations = [await _founded(chaos) for _ in range(ORGANIZATIONS)]
    waker = Waker(chaos.api)
    flow = [
        asyncio.create_task(_ask(chaos, waker, *organizations[number % ORGANIZATIONS], number)) for number in range(4)
    ]
    yield
    await asyncio.gather(*flow)
    await waker.close()


async def _founded(chaos: Chaos) -> tuple[Founded, ApiKeyId]:
    founded = await found(chaos.api, "pro")
    return founded, (await new_key(chaos.api, founded)).key.id


async def _ask(chaos: Chaos, waker: Waker, founded: Founded, key_id: ApiKeyId, number: int) -> None:
    """A quarter of the flow; only what Postgres has said yes to counts as asked for."""
    for turn in range((MESSAGES + MAILS) // 4):
        recipient = f"r-{number}-{turn}-{uuid4().hex[:6]}@example.com"
        is_mail = turn % 5 == 0 and turn // 5 < MAILS // 4
        try:
            await _ask_one(chaos.api, founded, key_id, recipient, is_mail)
        except Unavailable:
            await asyncio.sleep(0.05)
            continue
        chaos.asked.add(recipient)
        waker.wake()
        await asyncio.sleep(0.025)


async def _ask_one(api: Database, founded: Founded, key_id: ApiKeyId, recipient: str, is_mail: bool) -> None:
    async with api.tenant(founded.organization_id, SYSTEM) as tenant:
        if is_mail:
            await email.enqueue(tenant, "key_created", subject_id=key_id, recipient=recipient)
            return
        draft = messages.Draft(key_id, "email", recipient, "Nothing is lost.", "Hi")
        await messages.create(tenant, draft, datetime.now(UTC))


async def _kill_one(chaos: Chaos, breaking: random.Random) -> None:
    """One worker ends at once while it works; another takes its place."""
    await asyncio.sleep(breaking.uniform(0.5, 2))
    victim = chaos.workers.pop(breaking.randrange(len(chaos.workers)))
    victim.kill()
    chaos.kills += 1
    chaos.workers.append(chaos.start_worker())
    await _until(lambda: chaos.workers[-1].is_working, 40)


@asynccontextmanager
async def _refusing(chaos: Chaos) -> AsyncIterator[None]:
    """The mail server takes nothing."""
    chaos.mailbox.faults.add(MailFault(kind="refuse", code=451))
    yield
    chaos.mailbox.faults.clear()


def _restart_postgres(chaos: Chaos) -> None:
    chaos.postgres.kill()
    chaos.postgres.start()


def _is_settled(chaos: Chaos) -> bool:
    for statement in HURRY:
        chaos.rows(statement)
    return chaos.rows(LEFT) == [(0,)]


async def _until(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.25)


def _passwords() -> dict[str, str]:
    return {role: f"{role}-password" for role in LOGIN_ROLES}


def _postgres(folder: Path) -> EmbeddedPostgres:
    postgres = EmbeddedPostgres(folder / "postgres")
    postgres.start()
    bootstrap(postgres.superuser_url(), "chaos", _passwords())
    migrate.up(role_url(postgres.superuser_url(), "chaos", "app_migrator", "app_migrator-password"))
    return postgres
