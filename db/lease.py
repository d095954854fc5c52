"""A connection in somebody's hands: given back as it was when new, or thrown away."""

import asyncio
from typing import Any

import asyncpg

from db.connections import Connections
from db.errors import LOST, UNREACHABLE, Unavailable

ROLLBACK_SECONDS = 1


class Lease:
    """A connection for a block. Raises Unavailable when Postgres is away, or goes away under a statement."""

    __slots__ = ("_conn", "_connections")

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._conn: Any = None

    async def __aenter__(self) -> Any:
        try:
            self._conn = await self._connections.take()
        except UNREACHABLE as error:
            raise Unavailable from error
        return self._conn

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        conn = self._conn
        # Postgres said goodbye while the connection was idle, and the driver has not seen the end of it yet.
        is_cut = isinstance(error, asyncpg.InternalClientError)
        if isinstance(error, asyncio.CancelledError):
            await roll_back(conn)  # and so waits until Postgres has let go of what was given up
        elif is_cut or isinstance(error, TimeoutError):
            conn.terminate()
        is_lost = is_cut or isinstance(error, LOST) or (isinstance(error, asyncpg.InterfaceError) and conn.is_closed())
        self._connections.give_back(conn)
        if is_lost:
            raise Unavailable from error


async def roll_back(conn: Any) -> None:
    """Leave no transaction behind; a connection that cannot say so is thrown away.

    It is said in any case: after a cancellation the driver does not know yet whether BEGIN was carried out.
    """
    if conn.is_closed():
        return
    try:
        async with asyncio.timeout(ROLLBACK_SECONDS):  # the driver itself waits for its cancellation without an end
            await conn.execute("rollback")
    except TimeoutError:
        conn.terminate()  # what went wrong before is what the caller hears
    except BaseException:
        conn.terminate()
        raise
