"""Erasure: nothing is left of an organization but its certificate, nobody else loses anything, all of it or nothing."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from cli.organizations import organization_id
from db.organization_erasure import erase, look, rehearse
from db.organization_life import LifeError
from db.types import OrganizationId
from tests.cli.programs import environment, eventually
from tests.isolation.lives import WHO, Lively, fingerprints, live, send, traces
from tests.servers import Urls
from tests.stack import Stack

ERASE = """
import sys
from uuid import UUID
from db.organization_erasure import erase
erase(sys.argv[1], UUID(sys.argv[2]), operator="alice@host", reason="TICKET-1 drill", invoices=None)
"""


async def test_nothing_is_left_but_the_certificate(stack: Stack, tmp_path: Path) -> None:
    gone, other = await live(stack, "Gone"), await live(stack, "Other")
    untouched = fingerprints(stack.urls, other.id)
    rehearsed = rehearse(stack.urls.migrator, gone.id)
    _queue_job(stack.urls, gone)
    before = fingerprints(stack.urls, gone.id)
    assert look(stack.urls.migrator, gone.id).invoices == 1
    head = _head(stack.urls, gone.id)
    counts = erase(stack.urls.migrator, gone.id, invoices=tmp_path / "invoices.json", **WHO)
    assert counts == rehearsed | {"jobs.procrastinate_jobs": rehearsed["jobs.procrastinate_jobs"] + 1}
    assert all(counts[table] >= int(rows.split()[0]) for table, rows in before.items())
    assert counts["billing.payment_events"] == 3
    assert counts["usage.usage_records"] > 0
    assert counts["identity.accounts"] == 2
    for word in gone.words:
        assert traces(stack.urls, word) == []
    assert fingerprints(stack.urls, other.id) == untouched
    assert _certificate(stack.urls, gone.id) == (counts, *head, _sha256(tmp_path / "invoices.json"), *WHO.values())
    await stack.resources.limits.bump(OrganizationId(gone.id))
    assert (await gone.owner.get("/auth/me")).status == 401
    assert (await send(stack.visitor(), gone.key)).code == "INVALID_API_KEY"
    assert (await other.owner.get("/auth/me")).status == 200


def _queue_job(urls: Urls, lively: Lively) -> None:
    with psycopg.connect(urls.superuser, options="-c search_path=jobs") as conn:
        conn.execute(
            "insert into jobs.procrastinate_jobs (queue_name, task_name, lock, args) values ('mail', 'email.send', %s,"
            " jsonb_build_object('organization_id', %s::text))",
            [f"{lively.id}:lock", lively.id],
        )


def _head(urls: Urls, organization: UUID) -> tuple[int, str]:
    with psycopg.connect(urls.superuser) as conn:
        row = conn.execute(
            "select position, encode(hash, 'hex') from audit.chain_heads where organization_id = %s", [organization]
        ).fetchone()
    assert row
    return row[0], row[1]


def _certificate(urls: Urls, organization: UUID) -> tuple[object, ...] | None:
    with psycopg.connect(urls.auditor) as conn:
        return conn.execute(
            "select counts, chain_position, encode(chain_hash, 'hex'), encode(invoices_sha256, 'hex'), operator, reason"
            " from audit.certificates where kind = 'erased' and organization_hash = sha256(convert_to(%s, 'UTF8'))",
            [str(organization)],
        ).fetchone()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def test_kept_invoices_hold_what_was_charged_and_paid(stack: Stack, tmp_path: Path) -> None:
    gone = await live(stack, "Invoiced")
    erase(stack.urls.migrator, gone.id, invoices=tmp_path / "invoices.json", **WHO)
    kept = json.loads((tmp_path / "invoices.json").read_text())
    assert [invoice["total_amount_minor"] for invoice in kept["billing_cycles"]] == [2900]
    assert [line["amount_minor"] for line in kept["billing_cycle_lines"]] == [2900]
    assert [note["amount_minor"] for note in kept["credit_notes"]] == [900]
    assert [payment["succeeded_minor"] for payment in kept["payments"]] == [2900]
    assert (tmp_path / "invoices.json").stat().st_mode & 0o777 == 0o600


async def test_who_has_a_seat_elsewhere_stays_a_person(stack: Stack) -> None:
    gone, other = await live(stack, "Left behind"), await stack.register("Second home")
    _seat(stack.urls, gone.owner.email, UUID(other.organization["id"]))
    erase(stack.urls.migrator, gone.id, invoices=None, **WHO)
    assert stack.rows("select 1 from identity.accounts where email = %s", gone.owner.email) == [(1,)]
    assert stack.rows("select 1 from identity.accounts where email = %s", gone.member.email) == []
    answer = await stack.visitor().post("/auth/login", {"email": gone.owner.email, "password": gone.owner.password})
    assert answer.data["organization"]["name"] == "Second home"


def _seat(urls: Urls, email: str, organization: UUID) -> None:
    with psycopg.connect(urls.superuser) as conn:
        conn.execute(
            "with seat as (insert into tenancy.users (organization_id, id, account_id, email, role)"
            " select %(org)s, %(id)s, a.id, a.email, 'member' from identity.accounts a where a.email = %(email)s"
            " returning account_id) insert into identity.seat_directory (account_id, organization_id, user_id)"
            " select account_id, %(org)s, %(id)s from seat",
            {"org": organization, "id": uuid4(), "email": email},
        )


async def test_killed_in_the_middle_everything_is_there(stack: Stack) -> None:
    spared = await live(stack, "Spared")
    with psycopg.connect(stack.urls.superuser) as blocker:
        # The trail goes last: there it waits for us, with everything else deleted already.
        blocker.execute("select from audit.chain_heads where organization_id = %s for update", [spared.id])
        before = fingerprints(stack.urls, spared.id)
        _kill_while_it_waits(stack.urls, spared.id)
    eventually(lambda: not _is_waiting(stack.urls))
    assert fingerprints(stack.urls, spared.id) == before
    assert _certificate(stack.urls, spared.id) is None
    assert (await spared.owner.get("/auth/me")).status == 200


def _kill_while_it_waits(urls: Urls, organization: UUID) -> None:
    command = [sys.executable, "-P", "-c", ERASE, urls.migrator, str(organization)]
    running = subprocess.Popen(command, env=environment(), cwd="/")
    eventually(lambda: _is_waiting(urls))
    running.kill()
    running.wait()


def _is_waiting(urls: Urls) -> bool:
    with psycopg.connect(urls.superuser) as conn:
        return bool(
            conn.execute(
                "select from pg_stat_activity where query like '%ops.erase_organization%' and wait_event_type = 'Lock'"
                " and pid <> pg_backend_pid() and datname = current_database()"
            ).rowcount
        )


async def test_when_it_cannot_be_done_the_invoices_file_does_not_stay(stack: Stack, tmp_path: Path) -> None:
    spared = await live(stack, "Held")
    before = fingerprints(stack.urls, spared.id)
    with psycopg.connect(stack.urls.superuser) as blocker:
        blocker.execute("select from audit.chain_heads where organization_id = %s for update", [spared.id])
        impatient = stack.urls.migrator + "?options=-c%20lock_timeout%3D300ms"
        with pytest.raises(psycopg.errors.LockNotAvailable):
            erase(impatient, spared.id, invoices=tmp_path / "invoices.json", **WHO)
    assert _names(tmp_path) == []
    assert fingerprints(stack.urls, spared.id) == before


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_an_unknown_organization_is_a_sentence(urls: Urls) -> None:
    with pytest.raises(LifeError, match="no organization"):
        look(urls.migrator, uuid4())
    with pytest.raises(Exception, match="Expected: a UUID"):
        organization_id("' or true --")


@pytest.mark.parametrize("role", ["api", "worker", "auditor", "exporter"])
def test_nobody_else_can_erase(urls: Urls, role: str) -> None:
    with psycopg.connect(getattr(urls, role)) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("select ops.erase_organization(%s, 'x', 'TICKET', null)", [uuid4()])


@pytest.mark.parametrize("role", ["superuser", "migrator"])
async def test_the_trails_door_opens_under_a_certificate_alone(stack: Stack, role: str) -> None:
    spared = await live(stack, "Trail")
    with psycopg.connect(getattr(stack.urls, role)) as conn:
        conn.execute("select set_config('app.erasing', %s, true)", [str(spared.id)])
        with pytest.raises(psycopg.DatabaseError, match="append-only"), conn.transaction():
            conn.execute("delete from audit.events where organization_id = %s", [spared.id])
        # A certificate of another transaction, or of another organization, opens nothing either.
        conn.execute(
            "insert into audit.certificates (kind, organization_hash, counts, chain_position, chain_hash, operator,"
            " reason) values ('erased', audit.name_of(%s), '{}', 0, sha256(''), 'x', 'TICKET')",
            [uuid4()],
        )
        with pytest.raises(psycopg.DatabaseError, match="append-only"), conn.transaction():
            conn.execute("delete from audit.events where organization_id = %s", [spared.id])
        for statement in (b"delete from audit.certificates", b"truncate audit.events", b"truncate audit.certificates"):
            with pytest.raises(psycopg.DatabaseError, match="append-only"), conn.transaction():
                conn.execute(statement)
        conn.rollback()


async def test_a_deletion_without_a_certificate_is_in_the_trail(stack: Stack) -> None:
    spared = await live(stack, "Careless")
    with psycopg.connect(stack.urls.superuser) as conn:
        conn.execute("select set_config('app.erasing', %s, true)", [str(spared.id)])
        conn.execute("delete from messaging.suppressions where organization_id = %s", [spared.id])
        conn.execute("delete from billing.billing_cycle_lines where organization_id = %s", [spared.id])
    found = stack.rows("select 1 from audit.events where organization_id = %s and operation = 'delete'", spared.id)
    assert len(found) == 1
