"""The trail: who changed what in one chain for each organization that cannot be changed, cut or forged unnoticed."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from db import audit
from db.pool import Database
from db.types import Actor
from tests.founding import Founded, found, new_key
from tests.servers import Urls


@pytest.fixture
async def database(urls: Urls) -> AsyncIterator[Database]:
    """A pool of the API's role."""
    pool = await Database.open(urls.api, 8, "tests")
    yield pool
    await pool.close()


@pytest.fixture
async def founded(database: Database) -> Founded:
    """An organization with its owner."""
    return await found(database)


@pytest.fixture
def admin(urls: Urls) -> Iterator[psycopg.Connection]:
    """A superuser's connection: what row security cannot stop, the chain has to show."""
    with psycopg.connect(urls.superuser, autocommit=True) as conn:
        yield conn


async def test_a_change_says_who_what_when_and_from_where(database: Database, founded: Founded) -> None:
    actor = Actor("user", founded.user_id)
    async with database.tenant(founded.organization_id, actor, request_id="req-1", address="192.0.2.7") as tenant:
        await tenant.conn.execute(
            "update tenancy.organizations set name = 'Renamed', plan = 'pro' where organization_id = $1",
            founded.organization_id,
        )
    async with database.tenant(founded.organization_id, actor, read_only=True) as tenant:
        event = (await audit.page(tenant, limit=1, table_name="tenancy.organizations"))[0]
    assert (event.table_name, event.row_key, event.operation) == (
        "tenancy.organizations", str(founded.organization_id), "update",
    )  # fmt: skip
    assert event.before == {"name": "Acme", "plan": "free"}
    assert event.after == {"name": "Renamed", "plan": "pro"}
    assert (event.actor_kind, event.actor_id, event.database_role) == ("user", founded.user_id, "app_api")
    assert (event.request_id, event.client_address) == ("req-1", "192.0.2.7")
    assert abs((datetime.now(UTC) - event.occurred_at).total_seconds()) < 60


async def test_what_is_rolled_back_leaves_no_event(database: Database, founded: Founded) -> None:
    rename = "update tenancy.organizations set name = 'Never' where organization_id = $1"
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with database.tenant(founded.organization_id, Actor("system")) as tenant:
            await tenant.conn.execute(rename, founded.organization_id)
            raise ZeroDivisionError
    async with database.tenant(founded.organization_id, Actor("system"), read_only=True) as tenant:
        assert "Never" not in str(await audit.page(tenant, limit=100))


async def test_last_use_of_a_key_is_no_event(database: Database, founded: Founded) -> None:
    key = await new_key(database, founded)
    async with database.tenant(founded.organization_id, Actor("system")) as tenant:
        before = await audit.head(tenant)
        await tenant.conn.execute(
            "update tenancy.api_keys set last_used_at = now() where organization_id = $1 and id = $2",
            founded.organization_id, key.key.id,
        )  # fmt: skip
    async with database.tenant(founded.organization_id, Actor("system"), read_only=True) as tenant:
        assert await audit.head(tenant) == before


async def test_no_secret_of_a_key_reaches_the_trail(database: Database, founded: Founded) -> None:
    key = await new_key(database, founded)
    async with database.tenant(founded.organization_id, Actor("system"), read_only=True) as tenant:
        text = str(await audit.page(tenant, limit=100))
    assert key.secret not in text
    assert hashlib.sha256(key.secret.encode()).hexdigest() not in text


@pytest.mark.parametrize("name", ["secret", "signing_secret", "password", "token_hash", "digest", "private_key", "url"])
def test_columns_that_sound_secret_are_redacted(admin: psycopg.Connection, name: str) -> None:
    image = admin.execute("select audit.redact(jsonb_build_object(%s::text, 'x', 'name', 'y'))", [name]).fetchone()
    assert image == ({name: "redacted", "name": "y"},)


@pytest.mark.parametrize("role", ["api", "worker", "auditor", "superuser"])
@pytest.mark.parametrize(
    "statement", ["update audit.events set actor_kind = 'x'", "delete from audit.events", "truncate audit.events"]
)
async def test_nobody_changes_the_trail(founded: Founded, urls: Urls, role: str, statement: str) -> None:
    with psycopg.connect(getattr(urls, role)) as conn:
        conn.execute("select set_config('app.current_org_id', %s, true)", [str(founded.organization_id)])
        with pytest.raises(psycopg.Error) as refused:
            conn.execute(statement)
    assert refused.value.sqlstate in {"42501", "ORG05"}


async def test_no_role_of_the_application_writes_the_trail_by_hand(founded: Founded, urls: Urls) -> None:
    for url in (urls.api, urls.worker, urls.auditor):
        with psycopg.connect(url) as conn:
            conn.execute("select set_config('app.current_org_id', %s, true)", [str(founded.organization_id)])
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute("insert into audit.events select * from audit.events limit 1")


CHANGE = "update audit.events e set {} where organization_id = %s and position = 2"
HASHED_ANEW = """after = '{}', hash = audit.link((organization_id, position, occurred_at, transaction_id, actor_kind,
    actor_id, database_role, request_id, client_address, table_name, row_key, operation, before, '{}', previous_hash,
    hash)::audit.events)"""
# what is done → (the statement, the place that is named, what is said about it)
TAMPERINGS = {
    "changed": (CHANGE.replace("{}", "after = '{}'"), 2, "was changed"),
    "moved in time": (CHANGE.replace("{}", "occurred_at = occurred_at + interval '1 second'"), 2, "was changed"),
    "another actor": (CHANGE.replace("{}", "actor_id = organization_id"), 2, "was changed"),
    "hashed anew": (CHANGE.replace("{}", HASHED_ANEW), 3, "does not link"),
    "removed": ("delete from audit.events where organization_id = %s and position = 2", 2, "follows event 1"),
    "cut off": ("delete from audit.events where organization_id = %s and position > 1", 2, "ends at event 1"),
    "emptied": ("delete from audit.events where organization_id = %s", 1, "ends at event 0"),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_tampering_by_a_superuser_is_found_at_its_place(
    database: Database, admin: psycopg.Connection, tampering: str
) -> None:
    founded = await found(database)
    for _ in range(3):
        await new_key(database, founded)
    async with database.tenant(founded.organization_id, Actor("system"), read_only=True) as tenant:
        assert (await audit.verify(tenant)).is_intact
    statement, place, reason = TAMPERINGS[tampering]
    with admin.transaction():
        admin.execute("set local session_replication_role = replica")
        admin.execute("alter table audit.events disable trigger keep_rows")
        admin.execute(statement, [founded.organization_id])
        admin.execute("alter table audit.events enable always trigger keep_rows")
    async with database.tenant(founded.organization_id, Actor("system"), read_only=True) as tenant:
        verdict = await audit.verify(tenant)
    assert (verdict.is_intact, verdict.broken_at) == (False, place)
    assert reason in str(verdict.reason)


async def test_fifty_writers_at_once_make_one_chain_without_a_gap(database: Database) -> None:
    founded = await found(database, plan="pro")
    async with database.tenant(founded.organization_id, Actor("system"), read_only=True) as tenant:
        before = (await audit.verify(tenant)).events
    await asyncio.gather(*[new_key(database, founded) for _ in range(50)])
    async with database.tenant(founded.organization_id, Actor("system"), read_only=True) as tenant:
        assert await audit.verify(tenant) == audit.ChainVerdict(True, before + 50, None, None)


async def test_only_the_chain_in_context_can_be_verified(database: Database, founded: Founded, urls: Urls) -> None:
    with psycopg.connect(urls.auditor) as conn:
        conn.execute("select set_config('app.current_org_id', %s, true)", [str(founded.organization_id)])
        with pytest.raises(psycopg.Error) as refused:
            conn.execute("select * from audit.verify_chain(%s)", [uuid4()])
    assert refused.value.sqlstate == "ORG04"


async def test_the_past_of_a_row_and_of_a_table(database: Database, founded: Founded, urls: Urls) -> None:
    actor, organization_id = Actor("user", founded.user_id), founded.organization_id
    rename = "update tenancy.organizations set name = $2 where organization_id = $1"
    async with database.tenant(organization_id, actor) as tenant:
        await tenant.conn.execute(rename, organization_id, "Second")
    between = datetime.now(UTC)
    async with database.tenant(organization_id, actor) as tenant:
        await tenant.conn.execute(rename, organization_id, "Third")
    with psycopg.connect(urls.auditor, row_factory=dict_row) as conn:
        conn.execute("select set_config('app.current_org_id', %s, true)", [str(organization_id)])
        past = conn.execute(
            "select image ->> 'name' as name from audit.as_of('tenancy.organizations', %s, %s)",
            [organization_id, between],
        ).fetchall()
        steps = conn.execute(
            "select after ->> 'name' as name from audit.history('tenancy.organizations', %s)", [str(organization_id)]
        ).fetchall()
    assert [row["name"] for row in past] == ["Second"]
    assert [row["name"] for row in steps] == ["Acme", "Second", "Third"]


async def test_an_operators_look_is_written_before_it_begins(database: Database, founded: Founded, urls: Urls) -> None:
    with psycopg.connect(urls.auditor, autocommit=True) as conn:
        conn.execute("call ops.as_org(%s, 'ticket 4711')", [founded.organization_id])
        rows = conn.execute("select database_role, after ->> 'reason' from audit.events order by position desc limit 1")
        assert rows.fetchone() == ("app_auditor", "ticket 4711")
        with pytest.raises(psycopg.errors.CheckViolation):
            conn.execute("call ops.as_org(%s, ' ')", [founded.organization_id])
        with conn.transaction(), pytest.raises(psycopg.errors.InvalidTransactionTermination):
            conn.execute("call ops.as_org(%s, 'ticket 4712')", [founded.organization_id])
