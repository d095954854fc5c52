"""Loads the named statements of sql/queries for asyncpg."""

from typing import Any

import aiosql
from aiosql.adapters.asyncpg import AsyncPGAdapter

from settings import ROOT

QUERIES = ROOT / "sql" / "queries"


class ConnectionAdapter(AsyncPGAdapter):
    """aiosql's adapter without its look at every call for whether it holds a pool: we always pass a connection."""

    def _ordered(self, query_name: str, parameters: Any) -> Any:
        return self.maybe_order_params(query_name, parameters)  # type: ignore[no-untyped-call]

    async def select(self, conn: Any, query_name: str, sql: str, parameters: Any, record_class: Any = None) -> Any:
        """Yield each row."""
        for row in await conn.fetch(sql, *self._ordered(query_name, parameters)):
            yield row

    async def select_one(self, conn: Any, query_name: str, sql: str, parameters: Any, record_class: Any = None) -> Any:
        """The first row, or None."""
        return await conn.fetchrow(sql, *self._ordered(query_name, parameters))

    async def select_value(self, conn: Any, query_name: str, sql: str, parameters: Any) -> Any:
        """The first column of the first row, or None."""
        return await conn.fetchval(sql, *self._ordered(query_name, parameters))

    async def insert_returning(self, conn: Any, query_name: str, sql: str, parameters: Any) -> Any:
        """The returned row, or None."""
        return await conn.fetchrow(sql, *self._ordered(query_name, parameters))

    async def insert_update_delete(self, conn: Any, query_name: str, sql: str, parameters: Any) -> int:
        """How many rows were touched."""
        tag: str = await conn.execute(sql, *self._ordered(query_name, parameters))
        return int(tag.rpartition(" ")[2])


def load(subject: str) -> Any:
    """The statements of sql/queries/{subject}.sql as functions: `await queries.name(conn, parameter=…)`.

    aiosql's name suffixes say what comes back: none a list of rows (async for), `^` a row, `$` a value,
    `!` the number of rows touched, `<!` the row that was written.
    """
    return aiosql.from_path(QUERIES / f"{subject}.sql", ConnectionAdapter, mandatory_parameters=False)  # type: ignore[arg-type]
