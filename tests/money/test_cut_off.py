"""Closing that is cut off before or after any statement: all of it or nothing; and closing under a writer's hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from db.errors import Unavailable
from db.pool import Database
from db.usage import columns, queries
from jobs.billing import close_organization, close_until
from jobs.resources import open_resources
from tests.founding import found, new_key
from tests.money.test_closing import close, differences, record
from tests.servers import Urls
from tests.stack import settings_for
from tests.visitors import TurnableClock

WAITING_FOR_THE_MONTH = "select from pg_locks where locktype = 'advisory' and mode = 'ExclusiveLock' and not granted"
STATEMENTS = ("execute", "fetch", "fetchrow", "fetchval")
WRITTEN = """
select (select count(*) from billing.billing_cycles where organization_id = $1),
       (select count(*) from billing.billing_cycle_lines where organization_id = $1),
       (select count(*) from billing.movements where organization_id = $1),
       (select coalesce(max(last_number), 0) from billing.invoice_counters where organization_id = $1),
       (select count(*) from messaging.emails where organization_id = $1),
       (select count(*) from jobs.procrastinate_jobs where args ->> 'organization_id' = $1::text)
"""


class Cut:
    """A connection that ends, as its process would, before or after the statement of a number."""

    def __init__(self, conn: Any, at: int, *, after: bool) -> None:
        self._conn = conn
        self._at = at
        self._after = after
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        found_attribute = getattr(self._conn, name)
        if name not in STATEMENTS:
            return found_attribute

        async def counted(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count == self._at and not self._after:
                self._end()
            answer = await found_attribute(*arguments, **options)
            if self.count == self._at and self._after:
                self._end()
            return answer

        return counted

    def _end(self) -> None:
        self._conn.terminate()
        raise asyncpg.ConnectionDoesNotExistError("cut off")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_close_cut_off_at_any_statement_leaves_all_of_it_or_nothing(
    urls: Urls, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    year, clock = 2061 + after, TurnableClock()
    clock.ahead = datetime(year, 2, 1, tzinfo=UTC) - clock.now()
    whole, seen, number = [1, 1, 1, 1, 1, 1], [], 0
    owner = await asyncpg.connect(urls.superuser)
    async with open_resources(settings_for(urls.worker, redis_url, 9, tmp_path), clock) as resources:
        founded = await found(resources.database, "pro", datetime(year, 1, 1, tzinfo=UTC))
        await close_until(resources, date(year, 1, 1))
        statement = Database.statement
        while True:
            number += 1
            cuts: list[Cut] = []

            @asynccontextmanager
            async def cut(self: Database, number: int = number, cuts: list[Cut] = cuts) -> AsyncIterator[Any]:
                async with statement(self) as conn:
                    cuts.append(Cut(conn, number - sum(each.count for each in cuts), after=after))
                    yield cuts[-1]

            monkeypatch.setattr(Database, "statement", cut)
            try:
                await close_organization.run(resources, founded.organization_id)
            except Unavailable:
                seen.append(list(await owner.fetchrow(WRITTEN, founded.organization_id) or ()))
                continue
            finally:
                monkeypatch.setattr(Database, "statement", statement)
            break
    assert len(seen) > 8, "cut off many times"
    assert all(each in ([0] * 6, whole) for each in seen)
    assert list(await owner.fetchrow(WRITTEN, founded.organization_id) or ()) == whole
    await owner.close()


async def test_a_close_waits_for_a_record_that_is_being_written_and_counts_it(
    database: Database, api_database: Database, urls: Urls
) -> None:
    month, after = date(2063, 7, 1), datetime(2063, 8, 1, tzinfo=UTC)
    founded = await found(database, "pro", datetime(2063, 7, 1, tzinfo=UTC))
    key = (await new_key(database, founded)).key.id
    written = record(founded, key, after - timedelta(microseconds=1), "pro")
    async with api_database.resolver() as conn:
        await queries.record(conn, **columns([written]))
        closing = asyncio.create_task(close(database, founded, month, after))
        with psycopg.connect(urls.superuser, autocommit=True) as watching:
            for _ in range(1000):
                if closing.done() or watching.execute(WAITING_FOR_THE_MONTH).fetchall():
                    break
                await asyncio.sleep(0.01)
        assert not closing.done(), "the month closes under a record's hand"
    assert (await closing).total_requests == 1
    assert await differences(database, founded) == []
