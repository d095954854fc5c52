"""Roll-ups of usage: hours sealed and counted once, compared with the records, and old records taken out."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

import asyncpg

from db.pool import Database, Tenant
from db.statements import load

queries = load("usage")
SETTLING = timedelta(minutes=5)
"""How long after its end an hour is sealed: a record written later is late, and costs its recorder two more rows."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A sum that does not equal its records; `rollup` is hour or day, `since` its beginning."""

    rollup: str
    since: datetime
    api_key_id: UUID
    endpoint: str
    method: str
    plan: str
    status_class: int
    recorded: int
    rolled_up: int


async def roll_up(database: Database, now: datetime) -> int:
    """Count every whole hour that ended five minutes before `now`; returns how many steps that took.

    Safe to repeat, to kill and to run twice at once. Raises Unavailable when the recorders leave no gap in two seconds.
    """
    async with database.resolver() as conn:
        await queries.seal_hours(conn, at_time=now - SETTLING)
    steps = 1
    while await _count_next(database):
        steps += 1
    return steps


async def _count_next(database: Database) -> bool:
    async with database.resolver() as conn:
        return bool(await queries.count_hours(conn))


async def differences(tenant: Tenant, first_day: date) -> list[Difference]:
    """Every sum of the organization since a day that does not equal its records; empty when all is well."""
    rows = queries.differences(tenant.conn, organization_id=tenant.organization_id, first_day=first_day)
    return [Difference(**row) async for row in rows]


async def detach(database: Database, month: date) -> bool:
    """Take a month's records out, False when they are out already.

    Raises RuntimeError for a month that is open or not rolled up, Unavailable when it is too busy now.
    """
    try:
        async with database.resolver() as conn:
            return bool(await queries.detach_partition(conn, month=month))
    except asyncpg.PostgresError as error:
        if error.sqlstate == "USG02":
            raise RuntimeError(str(error)) from error
        raise
