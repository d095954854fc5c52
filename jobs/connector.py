"""Procrastinate's own connections to its schema, over tables that have row security."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import procrastinate
import psycopg
from procrastinate import exceptions
from procrastinate.connector import Notify
from procrastinate.sql import queries

ENDINGS = (queries["finish_job"], queries["retry_job"])
ENDING_SECONDS, ENDING_PAUSE = 30.0, 0.25
"""How long what became of a job is told again; by then the worker has no heartbeat, and others take its jobs over."""

WAKE_UP = '{"type": "job_inserted", "job_id": 0}'


class QueueConnector(procrastinate.PsycopgConnector):
    """Its connector, which also understands a taken queueing lock when Postgres keeps the row's values to itself.

    On a table with row security a unique violation names the constraint alone; the library expects the values too.
    """

    async def execute_query_async(self, query: str, **arguments: Any) -> None:
        """Run a statement; the one that ends a job is repeated while Postgres is away.

        Nobody tells it again, and a job that was not ended is under way for as long as its worker lives: it would hold
        its lock, and whatever waits for that, for days.
        """
        deadline = time.monotonic() + (ENDING_SECONDS if query in ENDINGS else 0)
        is_repeated = False
        while True:
            try:
                with _named_violations():
                    await super().execute_query_async(query, **arguments)
                return
            except exceptions.ConnectorException as error:
                if is_repeated and isinstance(error.__cause__, psycopg.errors.RaiseException):
                    return  # it had been heard the first time
                if not isinstance(error.__cause__, psycopg.OperationalError) or time.monotonic() > deadline:
                    raise
            is_repeated = True
            await asyncio.sleep(ENDING_PAUSE)

    async def execute_query_one_async(self, query: str, **arguments: Any) -> dict[str, Any]:
        """The first row of a statement."""
        with _named_violations():
            row: dict[str, Any] = await super().execute_query_one_async(query, **arguments)
        return row

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Take every notification for a wake-up, whatever it says.

        NOTIFY asks for no right: with words of his own anybody who can log in would stop another organization's job, or
        the listener. That a job is to stop is read from its row, every few seconds.
        """

        async def wake_up(*, channel: str, payload: str) -> None:
            await on_notification(channel=channel, payload=WAKE_UP)

        await super().listen_notify(wake_up, channels)


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
