"""Procrastinate's own connections to its schema, over tables that have row security."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import procrastinate
import psycopg
from procrastinate import exceptions


class QueueConnector(procrastinate.PsycopgConnector):
    """Its connector, which also understands a taken queueing lock when Postgres keeps the row's values to itself.

    On a table with row security a unique violation names the constraint alone; the library expects the values too.
    """

    async def execute_query_async(self, query: str, **arguments: Any) -> None:
        """Run a statement."""
        with _named_violations():
            await super().execute_query_async(query, **arguments)

    async def execute_query_one_async(self, query: str, **arguments: Any) -> dict[str, Any]:
        """The first row of a statement."""
        with _named_violations():
            row: dict[str, Any] = await super().execute_query_one_async(query, **arguments)
        return row


def connector(url: str) -> QueueConnector:
    """Connections in the queue's schema, whatever the role's search path says."""
    return QueueConnector(conninfo=url, kwargs={"options": "-c search_path=jobs"}, min_size=1, max_size=6)


@contextmanager
def _named_violations() -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        violation = error.__context__
        if not isinstance(violation, psycopg.errors.UniqueViolation):
            raise
        name = violation.diag.constraint_name
        raise exceptions.UniqueViolation(constraint_name=name, queueing_lock=None) from violation
