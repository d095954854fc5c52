"""What keeps an installation tidy: partitions made ahead, and every organization in turn."""

from collections.abc import AsyncIterator
from datetime import date
from uuid import UUID

from db.pool import Database
from db.statements import load
from db.types import OrganizationId

queries = load("maintenance")
MONTHS_AHEAD = 3


async def create_usage_partitions(database: Database, today: date) -> None:
    """Make the partitions of this month and the next three, where they are missing."""
    for ahead in range(MONTHS_AHEAD + 1):
        months = today.year * 12 + today.month - 1 + ahead
        async with database.resolver() as conn:
            await queries.create_usage_partition(conn, first_day=date(months // 12, months % 12 + 1, 1))


async def organizations(database: Database, page_size: int = 500) -> AsyncIterator[OrganizationId]:
    """The id of every organization, in order, read in pages."""
    after = UUID(int=0)
    while True:
        async with database.resolver(read_only=True) as conn:
            page = [
                row["organization_id"] async for row in queries.organizations(conn, after=after, page_size=page_size)
            ]
        for organization_id in page:
            yield organization_id
        if len(page) < page_size:
            return
        after = page[-1]


async def rescue_stalled_jobs(database: Database, dead_after_seconds: float) -> int:
    """Give the jobs of workers without a heartbeat back to the queue; returns how many."""
    async with database.resolver() as conn:
        rescued: int = await queries.rescue_stalled_jobs(conn, seconds=dead_after_seconds)
    return rescued


async def forget_finished_jobs(database: Database, days: int) -> int:
    """Delete jobs that ended more than `days` ago; returns how many."""
    async with database.resolver() as conn:
        forgotten: int = await queries.forget_finished_jobs(conn, days=days)
    return forgotten
