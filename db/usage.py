"""Usage: one record for each answered request, committed in groups before the answers leave."""

import asyncio
from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from prometheus_client import Counter, Histogram

from db.errors import Unavailable
from db.gathering import Gathering
from db.pool import Database
from db.statements import load
from db.types import SYSTEM, ApiKeyId, OrganizationId

queries = load("usage")
SECONDS = 2.0
"""How long an answer waits for its record; after that it becomes a 503, and may have been recorded all the same."""
GROUPS = Histogram(
    "usage_group_records", "Usage records committed together", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
UNRECORDED = Counter("usage_unrecorded_total", "Answers that were refused because their usage could not be recorded")
log = structlog.get_logger()


class UsageRecord(NamedTuple):
    """One request with a valid key: `id` is the request's own, `plan` the one in force when it was admitted."""

    id: UUID
    organization_id: OrganizationId
    api_key_id: ApiKeyId
    plan: str
    endpoint: str
    method: str
    status_code: int
    duration_us: int
    is_billable: bool
    occurred_at: datetime


# The parameters of `usage.record`, in the order of a record's fields.
_COLUMNS = (
    "ids", "organization_ids", "api_key_ids", "plans", "endpoints", "methods", "status_codes", "durations_us",
    "billables", "occurred_ats",
)  # fmt: skip

Waiting = tuple[UsageRecord, asyncio.Future[None]]


class UsageRecorder:
    """Commits records in groups: while one is under way the others gather for the next; no timer, no size to tune.

    `coming` is entered by a request on its way to its record. A group waits for those, no longer than a group takes: at
    full load groups are larger, a request alone goes at once, and nobody waits for more than about two groups.
    """

    def __init__(self, database: Database) -> None:
        self.coming = Gathering()
        self._database = database
        self._waiting: list[Waiting] = []
        self._flusher: asyncio.Task[None] | None = None

    async def record(self, entry: UsageRecord) -> None:
        """Return once the record is committed. Raises Unavailable when Postgres did not take it."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        if not self._waiting:
            self.coming.begin()
        self._waiting.append((entry, written))
        if self._flusher is None:
            self._flusher = loop.create_task(self._flush())
        await written

    async def close(self) -> None:
        """Wait for the group under way."""
        if self._flusher is not None:
            await self._flusher

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                await self.coming.wait()
                group, self._waiting = self._waiting, []
                begin = loop.time()
                await self._write(group)
                self.coming.took(loop.time() - begin)
        finally:
            self._flusher = None

    async def _write(self, group: list[Waiting]) -> None:
        """Commit a group and let its waiters go; one record that cannot be written takes no other with it."""
        try:
            async with asyncio.timeout(SECONDS), self._database.statement() as conn:
                await queries.record(conn, **columns([entry for entry, _ in group]))
                written = await self._database.written(conn)
        except (Unavailable, TimeoutError) as error:
            UNRECORDED.inc(len(group))
            log.warning("usage.not_recorded", records=len(group), error=type(error).__name__)
            _let_go(group, Unavailable)
        except Exception as error:
            if len(group) > 1:
                await self._write(group[: len(group) // 2])
                await self._write(group[len(group) // 2 :])
                return
            UNRECORDED.inc()
            log.exception("usage.refused", organization_id=str(group[0][0].organization_id))
            _let_go(group, partial(_failed, error))
        else:
            GROUPS.observe(len(group))
            await self._database.note({entry.organization_id for entry, _ in group}, written)
            _let_go(group, None)


def _let_go(group: list[Waiting], failure: Callable[[], Exception] | None) -> None:
    """Every waiter gets an exception of its own: one object raised in many tasks would grow its traceback."""
    for _, written in group:
        if not written.done():
            written.set_exception(failure()) if failure else written.set_result(None)


def _failed(error: Exception) -> Exception:
    failure = RuntimeError(f"usage was not recorded: {type(error).__name__}")
    failure.__cause__ = error
    return failure


def columns(group: list[UsageRecord]) -> dict[str, Any]:
    """The arguments of `usage.record` for a group."""
    return dict(zip(_COLUMNS, map(list, zip(*group, strict=True)), strict=True))


async def count_month(database: Database, organization_id: OrganizationId, month: str) -> int:
    """Billable requests of a month given as YYYY-MM, counted from the records."""
    async with database.tenant(organization_id, SYSTEM, read_only=True) as tenant:
        count: int = await queries.count_billable(
            tenant.conn, organization_id=organization_id, month=date.fromisoformat(f"{month}-01")
        )
    return count
