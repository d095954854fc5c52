"""Every statement of sql/queries fits the migrated schema and may be run by the API or the worker."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.servers import Urls
from tests.sql.test_binding import Statement, statements


@pytest.fixture
async def connections(urls: Urls) -> AsyncIterator[list[asyncpg.Connection]]:
    """One connection each of the API and the worker, inside an organization."""
    found = []
    for url in (urls.api, urls.worker):
        conn = await asyncpg.connect(
            url, server_settings={"app.current_org_id": "01890000-0000-7000-8000-000000000000"}
        )
        found.append(conn)
    yield found
    for conn in found:
        await conn.close()


@pytest.mark.parametrize("statement", statements(), ids=lambda statement: statement.name)
async def test_a_statement_has_a_plan_that_a_role_may_run(
    connections: list[asyncpg.Connection], statement: Statement
) -> None:
    """PREPARE checks names and types; EXPLAIN of the prepared statement checks rights and row security too."""
    if statement.sql.lstrip().startswith("set "):
        return
    errors = []
    for conn in connections:
        transaction = conn.transaction()
        await transaction.start()
        try:
            await conn.execute("set local plan_cache_mode = force_generic_plan")
            prepared = await conn.prepare(statement.sql)
            await conn.fetch(f"explain execute {prepared.get_name()}{_nulls(prepared)}")
        except asyncpg.PostgresError as error:
            errors.append(error)
        finally:
            await transaction.rollback()
    assert len(errors) < len(connections), errors


def _nulls(prepared: asyncpg.prepared_stmt.PreparedStatement) -> str:
    count = len(prepared.get_parameters())
    return f"({', '.join(['null'] * count)})" if count else ""
