"""The way to one standby: examined before anybody reads there, and cut when it does not answer."""

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg

from db import checks
from db.errors import UNREACHABLE, Unavailable
from db.patience import Patience
from db.pool import Database
from db.statements import load
from db.types import LogPosition

queries = load("replica")

EXAMINE_SECONDS = 10
LOOK = Patience(connect=1, begin=1, statement=1)
READ = Patience(connect=1, begin=1, statement=20)
GONE = (Unavailable, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, *UNREACHABLE)


class Unusable(Exception):
    """Nobody may read there; the text says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a standby is, and what its pool is like."""

    url: str
    size: int
    statement_cache_size: int


class Standby:
    """Two pools: `door` for reads, and one connection that looks, so that nobody's long read stands in its way."""

    def __init__(self, door: Database, eye: Database) -> None:
        self.door = door
        self._eye = eye

    @classmethod
    async def open(cls, address: Address, system: int) -> "Standby":
        """A standby of the server with this system number on which row security holds, examined as the primary is.

        Raises UnsafeRole, or Unusable.
        """
        door = await _pool(address, address.size, "mts replica", READ)
        opened = cls(door, await _pool(address, 1, "mts replica watch", LOOK))
        try:
            await opened._examine(system)
        except BaseException:
            opened.cut()
            raise
        return opened

    def cut(self) -> None:
        """Close all connections at once; reads under way fall back to the primary."""
        self.door.cut()
        self._eye.cut()

    async def replayed(self) -> LogPosition:
        """How far it has come. Raises Unusable when it does not answer in time, or is a standby no longer."""
        try:
            async with self._eye.statement() as conn:
                reached = await queries.replayed(conn)
        except GONE as error:
            raise Unusable("does not answer") from error
        if reached is None:
            raise Unusable("is no standby")
        return LogPosition(reached)

    async def _examine(self, system: int) -> None:
        await self.replayed()
        try:
            async with asyncio.timeout(EXAMINE_SECONDS), self.door.resolver(read_only=True) as conn:
                await checks.refuse_unsafe(conn)
                found: int = await queries.system(conn)
        except GONE as error:
            raise Unusable("does not answer") from error
        if found != system:
            raise Unusable("is a standby of another server")


async def _pool(address: Address, size: int, name: str, patience: Patience) -> Any:
    return await Database.open(
        address.url, size, name, statement_cache_size=address.statement_cache_size, patience=patience
    )
