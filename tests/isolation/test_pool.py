"""One connection serves many organizations in turn, and nothing of one stays for the next."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

import db.pool
from db.errors import Unavailable
from db.pool import Database
from db.types import Actor, OrganizationId
from tests.founding import Founded, found
from tests.isolation.wire import PGBOUNCER, counted, pgbouncer
from tests.servers import Urls

OWN = "select organization_id from tenancy.users"
SYSTEM = Actor("system")


@pytest.fixture(params=["pool of one", "pgbouncer"])
async def narrow(request: pytest.FixtureRequest, urls: Urls, tmp_path: Path) -> AsyncIterator[Database]:
    """Many transactions through one server connection: a pool of one, and a pool of eight behind a PgBouncer of one."""
    if request.param == "pool of one":
        database = await Database.open(urls.api, 1, "tests")
        yield database
        await database.close()
        return
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed here; the same promises hold above for a pool of one")
    with pgbouncer(urls.api, tmp_path) as url:
        database = await Database.open(url, 8, "tests", statement_cache_size=0)
        yield database
        await database.close()


@pytest.fixture
async def two(urls: Urls) -> tuple[Founded, Founded]:
    """Two organizations."""
    database = await Database.open(urls.api, 2, "tests")
    try:
        return await found(database), await found(database)
    finally:
        await database.close()


async def seen(database: Database, organization_id: OrganizationId) -> set[OrganizationId]:
    """The organizations whose rows a tenant transaction shows; the statement itself names none."""
    async with database.tenant(organization_id, SYSTEM, read_only=True) as tenant:
        return {row[0] for row in await tenant.conn.fetch(OWN)}


async def leaves_no_context(database: Database, organization_id: OrganizationId) -> bool:
    """Whether a connection is outside every organization after a tenant transaction."""
    await seen(database, organization_id)
    async with database.resolver() as conn:
        try:
            await conn.fetch(OWN)
        except asyncpg.PostgresError as error:
            return error.sqlstate == "ORG01"
    return False


async def test_organizations_interleaved_by_hundreds_of_tasks_see_their_own_alone(
    narrow: Database, two: tuple[Founded, Founded]
) -> None:
    asked = [two[number % 2].organization_id for number in range(300)]
    answers = await asyncio.gather(*[seen(narrow, organization_id) for organization_id in asked])
    assert answers == [{organization_id} for organization_id in asked]


async def test_after_a_transaction_there_is_no_organization(narrow: Database, two: tuple[Founded, Founded]) -> None:
    assert await leaves_no_context(narrow, two[0].organization_id)


async def test_after_an_error_there_is_no_organization(narrow: Database, two: tuple[Founded, Founded]) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with narrow.tenant(two[0].organization_id, SYSTEM) as tenant:
            await tenant.conn.fetch("select 1/0")
    assert await leaves_no_context(narrow, two[1].organization_id)


async def test_cancelled_in_the_middle_a_transaction_leaves_nothing(
    narrow: Database, two: tuple[Founded, Founded]
) -> None:
    started = asyncio.Event()

    async def interrupted() -> None:
        async with narrow.tenant(two[0].organization_id, SYSTEM) as tenant:
            await tenant.conn.execute("update tenancy.organizations set name = 'Never'")
            started.set()
            await tenant.conn.execute("select pg_sleep(30)")

    for _ in range(5):
        started.clear()
        task = asyncio.create_task(interrupted())
        begun = asyncio.create_task(started.wait())
        await asyncio.wait([task, begun], return_when=asyncio.FIRST_COMPLETED)
        assert started.is_set(), task.exception()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await seen(narrow, two[1].organization_id) == {two[1].organization_id}
    async with narrow.tenant(two[0].organization_id, SYSTEM, read_only=True) as tenant:
        assert await tenant.conn.fetchval("select name from tenancy.organizations") == "Acme"


@pytest.mark.parametrize("role", ["api", "worker"])
async def test_a_statement_that_nobody_waits_for_ends_and_lets_go_of_its_locks(
    urls: Urls, two: tuple[Founded, Founded], role: str
) -> None:
    """As after a kill, or a cancellation that came too early: Postgres hears of it by the closed connection alone."""
    named = "update tenancy.organizations set name = '{}'"
    gone, here = [await Database.open(getattr(urls, role), 1, "tests") for _ in range(2)]

    async def forgotten() -> None:
        async with gone.tenant(two[0].organization_id, SYSTEM) as tenant:
            await tenant.conn.execute(named.format("Never"))
            started.set_result(None)
            await tenant.conn.execute("select pg_sleep(14)")

    started = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(forgotten())
    await started
    gone.cut()
    with pytest.raises(Unavailable):
        await task
    async with here.tenant(two[0].organization_id, SYSTEM) as tenant:
        await tenant.conn.execute("set local lock_timeout = '5s'")
        await tenant.conn.execute(named.format("Acme"))
    await here.close()


async def test_another_organization_inside_one_is_refused(narrow: Database, two: tuple[Founded, Founded]) -> None:
    async with narrow.tenant(two[0].organization_id, SYSTEM):
        with pytest.raises(RuntimeError, match="open in this task"):
            async with narrow.tenant(two[1].organization_id, SYSTEM):
                raise AssertionError


@pytest.mark.parametrize("wrong", ["", "x", None, 7, "c284347f-844f-4646-bba2-723e7873812c", b"0" * 16])
async def test_what_is_no_uuid_never_reaches_sql(urls: Urls, wrong: object) -> None:
    async with counted(urls.api) as (url, trips):
        database = await Database.open(url, 1, "tests")
        with pytest.raises(TypeError):
            async with database.tenant(wrong, SYSTEM):  # type: ignore[arg-type]
                raise AssertionError
        await database.close()
    assert trips.count == 0


async def test_a_reading_transaction_cannot_write(narrow: Database, two: tuple[Founded, Founded]) -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with narrow.tenant(two[0].organization_id, SYSTEM, read_only=True) as tenant:
            await tenant.conn.execute("update tenancy.organizations set name = 'Never'")


async def test_a_tenant_transaction_costs_two_round_trips_and_the_reset_none(
    urls: Urls, two: tuple[Founded, Founded], capsys: pytest.CaptureFixture[str]
) -> None:
    """The promise is at most three: BEGIN with the context, COMMIT, and the pool's reset."""
    async with counted(urls.api) as (url, trips):
        database = await Database.open(url, 1, "tests")
        await seen(database, two[0].organization_id)
        before, statements = trips.count, 10
        async with database.tenant(two[0].organization_id, SYSTEM) as tenant:
            for _ in range(statements):
                await tenant.conn.fetch(OWN)
        await seen(database, two[0].organization_id)
        fixed = trips.count - before - statements - 1
        await database.close()
    with capsys.disabled():
        print(f"\nfixed round trips of a tenant transaction: {fixed / 2:g}")
    assert fixed <= 2 * 3


async def test_a_session_level_setting_would_be_noticed(
    urls: Urls, two: tuple[Founded, Founded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard is broken on purpose: `set` in the place of `set local`."""
    begin = db.pool._begin
    monkeypatch.setattr(db.pool, "_begin", lambda *given: begin(*given).replace("set local", "set"))
    database = await Database.open(urls.api, 1, "tests")
    assert not await leaves_no_context(database, two[0].organization_id)
    await database.close()
