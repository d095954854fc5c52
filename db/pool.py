"""The one door to Postgres: transactions for one organization, for the resolver, and for the usage recorder."""

import asyncio
import ipaddress
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from db.connections import Connections
from db.errors import LOST, UNREACHABLE, Unavailable
from db.types import Actor, OrganizationId

_JSON_TYPES = ("json", "jsonb")
BEGIN_SECONDS = 2
CONNECT_SECONDS = 5
_PLAIN_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(slots=True)
class Tenant:
    """An open transaction of one organization: every statement on `conn` sees and touches its rows alone."""

    conn: Any
    organization_id: OrganizationId
    actor: Actor
    is_open: bool = field(default=True)


_current: ContextVar[Tenant | None] = ContextVar("tenant", default=None)


class Database:
    """The connections of one role."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @classmethod
    async def open(cls, url: str, size: int, application_name: str, *, statement_cache_size: int = 100) -> "Database":
        """Connect lazily with up to `size` connections; Postgres may still be away.

        Behind a PgBouncer older than 1.21 in transaction mode `statement_cache_size` must be 0.
        """

        async def connect() -> Any:
            conn = await asyncpg.connect(
                url, statement_cache_size=statement_cache_size, timeout=CONNECT_SECONDS, command_timeout=60,
                server_settings={"application_name": application_name},
            )  # fmt: skip
            await _prepare(conn)
            return conn

        return cls(Connections(connect, size))

    async def close(self) -> None:
        """Wait for the transactions under way and close all connections."""
        await self._connections.close()

    @asynccontextmanager
    async def tenant(
        self,
        organization_id: OrganizationId,
        actor: Actor,
        *,
        read_only: bool = False,
        request_id: str | None = None,
        address: str | None = None,
    ) -> AsyncIterator[Tenant]:
        """The only way to a tenant's rows: one transaction with organization, actor and request in its context.

        Commits at the end, rolls back on any exception. Raises Unavailable when Postgres is away, RuntimeError when a
        tenant transaction is open in this task already.
        """
        outer = _current.get()
        if outer is not None and outer.is_open:
            raise RuntimeError("a tenant transaction is open in this task already")
        begin = _begin(organization_id, actor, read_only, request_id, address)
        async with self._transaction(begin) as conn:
            tenant = Tenant(conn, organization_id, actor)
            token = _current.set(tenant)
            try:
                yield tenant
            finally:
                tenant.is_open = False
                _current.reset(token)

    @asynccontextmanager
    async def resolver(self, *, read_only: bool = False) -> AsyncIterator[Any]:
        """A transaction without an organization: resolver functions answer, tenant tables raise ORG01."""
        async with self._transaction("begin read only" if read_only else "begin") as conn:
            yield conn

    def statement(self) -> "Lease":
        """A connection for one statement that is its own transaction, such as `usage.record(…)`."""
        return Lease(self._connections)

    @asynccontextmanager
    async def _transaction(self, begin: str) -> AsyncIterator[Any]:
        async with self.statement() as conn:
            try:
                await _start(conn, begin)
                yield conn
                await conn.execute("commit")
            except BaseException:
                await _roll_back(conn)
                raise


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
        if is_cut and not conn.is_closed():
            conn.terminate()
        if isinstance(error, asyncio.CancelledError | TimeoutError):
            await _roll_back(conn)  # and so waits until Postgres has let go of what was given up
        is_lost = is_cut or isinstance(error, LOST) or (isinstance(error, asyncpg.InterfaceError) and conn.is_closed())
        self._connections.give_back(conn)
        if is_lost:
            raise Unavailable from error


def _begin(
    organization_id: OrganizationId, actor: Actor, read_only: bool, request_id: str | None, address: str | None
) -> str:
    """BEGIN and the whole context as one message: one round trip. Literals are made from typed values alone."""
    if not isinstance(organization_id, UUID):
        raise TypeError("an organization is a UUID")
    context = {"current_org_id": str(UUID(int=organization_id.int)), "actor_kind": actor.kind}
    if actor.id is not None:
        context["actor_id"] = str(UUID(int=actor.id.int))
    if request_id is not None and _PLAIN_TOKEN.fullmatch(request_id):
        context["request_id"] = request_id
    if address is not None:
        context["client_address"] = str(ipaddress.ip_address(address))
    settings = "".join(f"; set local app.{name} = '{value}'" for name, value in context.items())
    return f"begin {'read only' if read_only else 'read write'}{settings}"


async def _start(conn: Any, begin: str) -> None:
    """A server that does not even begin within two seconds is away."""
    try:
        await conn.execute(begin, timeout=BEGIN_SECONDS)
    except TimeoutError as error:
        raise Unavailable from error


async def _roll_back(conn: Any) -> None:
    """Leave no transaction behind; a connection that cannot say so is thrown away.

    It is said in any case: after a cancellation the driver does not know yet whether BEGIN was carried out.
    """
    if conn.is_closed():
        return
    try:
        async with asyncio.timeout(BEGIN_SECONDS):  # the driver itself waits for its cancellation without an end
            await conn.execute("rollback")
    except TimeoutError:
        conn.terminate()  # what went wrong before is what the caller hears
    except BaseException:
        conn.terminate()
        raise


async def _prepare(conn: Any) -> None:
    for name in _JSON_TYPES:
        await conn.set_type_codec(name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
