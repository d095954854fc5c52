"""The one door to Postgres: transactions for one organization, for the resolver, and for the usage recorder."""

import ipaddress
import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from db.connections import Connections
from db.errors import Unavailable
from db.lease import Lease, roll_back
from db.marks import Marks
from db.patience import PATIENT, Patience
from db.statements import load
from db.types import Actor, LogPosition, OrganizationId

queries = load("replica")

_JSON_TYPES = ("json", "jsonb")
# A plan made for everybody leaves partitions out when it begins. PostgreSQL would think one for each call cheaper: to
# plan the dashboard then takes longer than its work.
_PLANNED_ONCE = "set local plan_cache_mode = force_generic_plan"
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
    """The connections of one role.

    `marks` is set where a standby may be read: until where each tenant transaction has written is then noted.
    """

    def __init__(self, connections: Connections, patience: Patience) -> None:
        self.marks: Marks | None = None
        self._connections = connections
        self._patience = patience

    @classmethod
    async def open(
        cls,
        url: str,
        size: int,
        application_name: str,
        *,
        statement_cache_size: int = 100,
        patience: Patience = PATIENT,
    ) -> "Database":
        """Connect lazily with up to `size` connections; Postgres may still be away.

        Behind a PgBouncer older than 1.21 in transaction mode `statement_cache_size` must be 0.
        """

        async def connect() -> Any:
            conn = await asyncpg.connect(
                url, statement_cache_size=statement_cache_size, timeout=patience.connect,
                command_timeout=patience.statement,
                server_settings={"application_name": application_name},
            )  # fmt: skip
            await _prepare(conn)
            return conn

        return cls(Connections(connect, size), patience)

    async def close(self) -> None:
        """Wait for the transactions under way and close all connections."""
        await self._connections.close()

    def cut(self) -> None:
        """Close all connections at once: what waits for an answer on one of them raises Unavailable."""
        self._connections.cut()

    @asynccontextmanager
    async def tenant(
        self,
        organization_id: OrganizationId,
        actor: Actor,
        *,
        read_only: bool = False,
        request_id: str | None = None,
        address: str | None = None,
        replayed: LogPosition | None = None,
    ) -> AsyncIterator[Tenant]:
        """The only way to a tenant's rows: one transaction with organization, actor and request in its context.

        Commits at the end, rolls back on any exception. Raises Unavailable when Postgres is away, RuntimeError when a
        tenant transaction is open in this task already. With `replayed` it begins only on a standby that has come so
        far, and else raises REP01 or REP02 (db/replica.py).
        """
        outer = _current.get()
        if outer is not None and outer.is_open:
            raise RuntimeError("a tenant transaction is open in this task already")
        begin = _begin(organization_id, actor, read_only, request_id, address) + _guard(replayed)
        async with self._transaction(begin, None if read_only else organization_id) as conn:
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

    def statement(self) -> Lease:
        """A connection for one statement that is its own transaction, such as `usage.record(…)`."""
        return Lease(self._connections)

    @asynccontextmanager
    async def _transaction(self, begin: str, writer: OrganizationId | None = None) -> AsyncIterator[Any]:
        written = None
        async with self.statement() as conn:
            try:
                await _start(conn, begin, self._patience.begin)
                yield conn
                await conn.execute("commit")
            except BaseException:
                await roll_back(conn)
                raise
            if writer is not None:
                written = await self.written(conn)
        if writer is not None:
            await self.note([writer], written)

    async def written(self, conn: Any) -> LogPosition | None:
        """Where the log ends after a commit on `conn`; None, and nothing is asked, where no standby is read."""
        if self.marks is None:
            return None
        position: int = await queries.written(conn)
        return LogPosition(position)

    async def note(self, organizations: Iterable[OrganizationId], written: LogPosition | None) -> None:
        """Let every process know until where these have written, before the answer leaves."""
        if self.marks is not None and written is not None:
            await self.marks.note(organizations, written)


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
    return f"begin read only{settings}; {_PLANNED_ONCE}" if read_only else f"begin read write{settings}"


def _guard(replayed: LogPosition | None) -> str:
    """What else the first message asks of a standby; every later statement sees at least what this one saw."""
    return "" if replayed is None else f"; select app.require_replayed({int(replayed)})"


async def _start(conn: Any, begin: str, seconds: float) -> None:
    """A server that does not even begin in time is away."""
    try:
        await conn.execute(begin, timeout=seconds)
    except TimeoutError as error:
        raise Unavailable from error


async def _prepare(conn: Any) -> None:
    for name in _JSON_TYPES:
        await conn.set_type_codec(name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
