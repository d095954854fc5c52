"""`mts demo` fills two organizations with a past that agrees with itself, whatever interrupts it, and never twice."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from cli.demo_cast import PASSWORD, STORIES, Story
from cli.embedded.ports import free_port
from cli.instance import Instance
from cli.tour import installation
from settings import ROOT
from tests.cli.programs import environment, mts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
DEMO = [sys.executable, "-m", "cli", "demo"]


@dataclass
class Demo:
    """An installation on which `mts demo` was killed once, and then ran twice to its end."""

    instance: Instance
    environment: dict[str, str]
    first: subprocess.CompletedProcess[str]
    second: subprocess.CompletedProcess[str]
    counts: tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]

    def rows(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Ask Postgres as its superuser."""
        return rows(self.instance, statement, *arguments)

    def log_in(self, http: httpx.Client, email: str) -> str:
        """The token of somebody who logs in over HTTP."""
        answer = http.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["data"]["token"])

    @property
    def organizations(self) -> list[Any]:
        """The ids of the two."""
        return [row[0] for row in self.rows("select organization_id from tenancy.organizations order by name")]

    def states(self, story: Story) -> list[str]:
        """The state of each invoice, oldest first."""
        found = self.rows(
            "select c.status from billing.billing_cycles c join tenancy.organizations o using (organization_id)"
            " where o.name = %s order by c.period_start",
            story.name,
        )
        return [row[0] for row in found]


def rows(instance: Instance, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(instance.database_urls["superuser"]) as connection:
        return connection.execute(statement.encode(), arguments).fetchall()


def count_all(instance: Instance) -> list[tuple[Any, ...]]:
    tables = (
        "tenancy.organizations", "tenancy.users", "tenancy.api_keys", "tenancy.team_invitations", "identity.accounts",
        "usage.usage_records", "billing.billing_cycles", "billing.payments", "messaging.messages", "messaging.emails",
    )  # fmt: skip
    return [(table, *rows(instance, f"select count(*) from {table}")[0]) for table in tables]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    folder.chmod(0o711)
    with installation(folder / "data", free_port()) as (instance, settings):
        kill_between_the_two(settings, folder / "killed.out")
        first = subprocess.run(DEMO, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=200, check=False)
        before = count_all(instance)
        second = subprocess.run(DEMO, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=200, check=False)
        yield Demo(instance, settings, first, second, (before, count_all(instance)))


def kill_between_the_two(settings: dict[str, str], printed: Path) -> None:
    """The first organization is there, nothing has been paid or sent."""
    with printed.open("wb") as output:
        process = subprocess.Popen([*DEMO[:1], "-u", *DEMO[1:]], cwd=ROOT, env=settings, stdout=output, stderr=output)
    deadline = time.monotonic() + 120
    while "✓ Blue Heron" not in printed.read_text() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL, printed.read_text()


def test_a_run_after_a_killed_one_ends_well_and_another_one_changes_nothing(demo: Demo) -> None:
    for ran in (demo.first, demo.second):
        assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr
        assert ran.stdout.count(PASSWORD) == 1
        assert all(story.owner.email in ran.stdout for story in STORIES)
    assert "The demo's data are here already." in demo.second.stdout
    assert demo.counts[0] == demo.counts[1]
    assert dict(demo.counts[0])["tenancy.organizations"] == 2


def test_invoices_are_in_every_state(demo: Demo) -> None:
    as_told = {"paid_now": "paid"}
    for story in STORIES:
        assert demo.states(story) == [as_told.get(month.fate, month.fate) for month in story.months]
    reminders = demo.rows("select count(*) from messaging.emails where kind = 'overdue'")
    assert reminders[0][0] >= 3
    webhooks = demo.rows("select provider from billing.payment_events where outcome = 'applied' order by 1")
    assert webhooks == [("paystack",), ("stripe",)]


def test_an_invoice_bears_the_dates_of_its_month(demo: Demo) -> None:
    late = demo.rows(
        "select period_start from billing.billing_cycles"
        " where issued_at not between period_end and period_end + interval '1 hour' or due_date <= issued_at"
    )
    assert late == []


def test_messages_are_in_every_status(demo: Demo) -> None:
    found = {row[0] for row in demo.rows("select status from messaging.messages")}
    assert found >= {"queued", "sent", "delivered", "failed"}


def test_keys_and_seats_tell_a_story(demo: Demo) -> None:
    keys = demo.rows(
        "select count(*) filter (where k.revoked_at is not null), count(*) filter (where k.expires_at < now()),"
        " count(*) filter (where k.mode = 'test'), count(*) filter (where u.removed_at is not null)"
        " from tenancy.api_keys k join tenancy.users u on u.organization_id = k.organization_id and u.id = k.created_by"
    )
    assert all(number >= 1 for number in keys[0])
    assert demo.rows("select email from tenancy.team_invitations where accepted_at is null") == [
        ("priya@blueheron.example",)
    ]


def test_everybody_can_log_in_and_sees_thirty_lively_days(demo: Demo) -> None:
    with httpx.Client(base_url=demo.instance.base_url, timeout=30) as http:
        for person in (person for story in STORIES for person in story.people if not person.has_left):
            token = demo.log_in(http, person.email)
            graph = http.get("/api/v1/dashboard/usage-graph", headers={"Authorization": f"Bearer {token}"})
            days = graph.json()["data"]["data"]
            assert len(days) == 30
            assert all(day["requests"] > 0 for day in days[:-1])
            assert any(day["error_count"] > 0 for day in days)


def test_the_books_agree_and_the_trail_is_whole(demo: Demo) -> None:
    for organization in demo.organizations:
        assert demo.rows("select * from billing.reconcile(%s)", organization) == []
        with psycopg.connect(demo.instance.database_urls["superuser"]) as connection:
            connection.execute("select set_config('app.current_org_id', %s, true)", [str(organization)])
            verdict = connection.execute(
                "select is_intact, events from audit.verify_chain(%s)", [organization]
            ).fetchone()
        assert verdict is not None
        assert verdict[0]
        assert verdict[1] > 50
    assert demo.rows("select * from ops.findings") == []


def test_the_mail_catcher_shows_what_was_sent(demo: Demo) -> None:
    mails = httpx.get(f"{demo.instance.sandbox['mail']}/api/messages", params={"to": "sam@copperkettle.example"}).json()
    subjects = " ".join(mail["subject"] for mail in mails)
    assert "overdue" in subjects.lower()
    assert "Receipt" in subjects


def test_it_refuses_an_installation_that_is_not_for_development() -> None:
    answer = mts(
        "demo",
        env=environment(
            ENVIRONMENT="production",
            DATABASE_URL="postgresql://app_migrator:x@127.0.0.1:1/mts",
            REDIS_URL="redis://127.0.0.1:1",
            SMTP_URL="smtp://127.0.0.1:1",
            JWT_SECRET="x" * 40,
        ),
    )
    assert answer.returncode == 1
    assert "runs on a development installation only" in answer.stderr
