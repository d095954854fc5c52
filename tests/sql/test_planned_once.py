"""A read is planned once for everybody, whatever PostgreSQL thinks cheaper, and nothing of that stays behind."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from db import audit, dashboard
from db.pool import Database
from db.types import SYSTEM
from tests.founding import Founded, found
from tests.servers import Urls

NOW = datetime(2026, 11, 6, 18, tzinfo=UTC)
PLANS = "select generic_plans, custom_plans from pg_prepared_statements where statement like 'select day::date%'"


@pytest.fixture
async def database(urls: Urls) -> AsyncIterator[Database]:
    """One connection of the API's role."""
    opened = await Database.open(urls.api, 1, "tests")
    yield opened
    await opened.close()


@pytest.fixture
async def founded(database: Database) -> Founded:
    """An organization."""
    return await found(database)


async def test_a_read_of_partitions_keeps_its_plan(database: Database, founded: Founded) -> None:
    for _ in range(8):
        async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
            await dashboard.usage_graph(tenant, NOW)
    async with database.resolver() as conn:
        assert [tuple(row) for row in await conn.fetch(PLANS)] == [(8, 0)]


async def test_after_a_read_postgres_chooses_again(database: Database, founded: Founded) -> None:
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        assert await tenant.conn.fetchval("show plan_cache_mode") == "force_generic_plan"
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        assert await tenant.conn.fetchval("show plan_cache_mode") == "auto"


async def test_the_trail_of_one_row_is_found_by_that_row(database: Database, founded: Founded) -> None:
    """A plan for everybody cannot wait and see whether a row is asked for: that is a statement of its own."""
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        (event, *_) = await audit.page(tenant, limit=1, table_name="tenancy.users")
        assert await audit.page(tenant, limit=9, table_name="tenancy.users", row_key=event.row_key) == [event]
        await tenant.conn.execute("set local enable_seqscan = off")
        await tenant.conn.execute(f"prepare shown as {audit.queries.page_of_row.sql}")
        plan = await tenant.conn.fetch(
            f"explain execute shown('{founded.organization_id}', 'tenancy.users', 'x', 9, 1)"
        )
        assert any("Index Cond" in row[0] and "row_key = " in row[0] for row in plan), plan
