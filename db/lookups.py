"""Finds keys in the directory in groups: while one statement is under way the others gather for the next.

However many unknown keys arrive, a process asks with one connection and one statement at a time.
"""

import asyncio
from dataclasses import dataclass

from db.errors import Unavailable
from db.pool import Database
from db.statements import load
from db.types import ApiKeyId, OrganizationId

queries = load("keys")
SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Found:
    """Where a digest leads."""

    organization_id: OrganizationId
    api_key_id: ApiKeyId


class Lookups:
    """The directory of keys as one process asks it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[bytes, asyncio.Future[Found | None]] = {}
        self._asker: asyncio.Task[None] | None = None

    async def find(self, digest: bytes) -> Found | None:
        """Where a digest leads, or None. Raises Unavailable when Postgres is away."""
        found = self._waiting.get(digest)
        if found is None:
            loop = asyncio.get_running_loop()
            found = self._waiting[digest] = loop.create_future()
            if self._asker is None:
                self._asker = loop.create_task(self._ask())
        return await asyncio.shield(found)

    async def _ask(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting, {}
                await self._answer(group)
        finally:
            self._asker = None

    async def _answer(self, group: dict[bytes, asyncio.Future[Found | None]]) -> None:
        try:
            async with asyncio.timeout(SECONDS), self._database.statement() as conn:
                rows = [row async for row in queries.find_all(conn, digests=list(group))]
        except Exception as error:  # noqa: BLE001 - whatever went wrong, everyone who waits must hear of it
            for waiting in group.values():
                waiting.set_exception(Unavailable() if isinstance(error, TimeoutError) else error)
                waiting.exception()  # who asked may be gone
            return
        found = {row["digest"]: Found(row["organization_id"], row["api_key_id"]) for row in rows}
        for digest, waiting in group.items():
            waiting.set_result(found.get(digest))
