"""What a handler is given: who calls, the open tenant transaction, and what the process holds."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime

from starlette.requests import Request
from starlette.types import Receive

from api.exchange import Exchange
from api.permissions import Reach
from api.tokens import Claims
from db.limits import Admission, ResolvedKey
from db.pool import Tenant
from db.sessions import Seat
from db.types import Actor, LogPosition, OrganizationId
from jobs.resources import Resources
from settings import Settings


class PublicCall:
    """A call by anybody."""

    __slots__ = ("_receive", "exchange", "resources")

    def __init__(self, exchange: Exchange, resources: Resources, receive: Receive) -> None:
        self.exchange = exchange
        self.resources = resources
        self._receive = receive

    @property
    def request(self) -> Request:
        """Starlette's view of the request, for cookies and the like; its body has been read already."""
        return Request(self.exchange.scope, self._receive)

    @property
    def request_id(self) -> str:
        """The id shown to the caller and in the log."""
        return self.exchange.request_id

    @property
    def address(self) -> str:
        """The client's address."""
        return self.exchange.address

    @property
    def settings(self) -> Settings:
        """The settings of the process."""
        return self.resources.settings

    def now(self) -> datetime:
        """The time, aware, in UTC."""
        return self.resources.clock.now()

    def add_header(self, name: str, value: str) -> None:
        """Add a header to the answer."""
        self.exchange.headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))


class SignedCall(PublicCall):
    """A webhook: `raw` are the exact bytes whose signature the handler checks."""

    __slots__ = ("raw",)

    def __init__(self, exchange: Exchange, resources: Resources, receive: Receive, raw: bytes) -> None:
        super().__init__(exchange, resources, receive)
        self.raw = raw


class TenantCall(PublicCall):
    """A call on behalf of one organization."""

    __slots__ = ("_after_commit", "_tenant", "actor", "organization_id")

    def __init__(
        self, exchange: Exchange, resources: Resources, receive: Receive, organization_id: OrganizationId, actor: Actor
    ) -> None:
        super().__init__(exchange, resources, receive)
        self.organization_id = organization_id
        self.actor = actor
        self._tenant: Tenant | None = None
        self._after_commit: list[Callable[[], Awaitable[None]]] = []

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open around the handler."""
        return self._tenant is not None

    @property
    def tenant(self) -> Tenant:
        """The transaction around the handler; one declared `transaction=False` has none and opens its own."""
        if self._tenant is None:
            raise RuntimeError("no open transaction: use `async with call.transaction()`")
        return self._tenant

    @asynccontextmanager
    async def transaction(
        self, *, read_only: bool = False, replayed: LogPosition | None = None
    ) -> AsyncIterator[Tenant]:
        """One tenant transaction of this caller; commits at the end, rolls back on any error.

        With `replayed` it reads on the replica, and raises ElsewhereError when that cannot answer.
        """
        self._after_commit.clear()  # those of a former transaction that rolled back
        async with self._open(read_only, replayed) as tenant:
            self._tenant = tenant
            try:
                yield tenant
            finally:
                self._tenant = None
        while self._after_commit:
            await self._after_commit.pop(0)()

    def _open(self, read_only: bool, replayed: LogPosition | None) -> AbstractAsyncContextManager[Tenant]:
        replica, organization_id, actor = self.resources.replica, self.organization_id, self.actor
        if replica is not None and replayed is not None:
            return replica.tenant(organization_id, actor, replayed, self.request_id, self.address)
        return self.resources.database.tenant(
            organization_id, actor, read_only=read_only, request_id=self.request_id, address=self.address
        )

    def after_commit(self, step: Callable[[], Awaitable[None]]) -> None:
        """Run `step` once the transaction has committed, before the answer leaves; never when it rolls back."""
        self._after_commit.append(step)


class UserCall(TenantCall):
    """A call by a person, acting as a seat; `reach` says how far the declared permission goes for its role."""

    __slots__ = ("claims", "reach", "seat")

    seat: Seat

    def __init__(
        self, exchange: Exchange, resources: Resources, receive: Receive, claims: Claims, actor: Actor
    ) -> None:
        super().__init__(exchange, resources, receive, claims.organization_id, actor)
        self.claims = claims
        self.reach = Reach.ALL

    @property
    def own_only(self) -> bool:
        """Whether the permission covers only what belongs to the caller itself."""
        return self.reach is Reach.OWN


class KeyCall(TenantCall):
    """A call with an API key."""

    __slots__ = ("admission",)

    def __init__(
        self, exchange: Exchange, resources: Resources, receive: Receive, admission: Admission, actor: Actor
    ) -> None:
        super().__init__(exchange, resources, receive, admission.key.organization_id, actor)
        self.admission = admission

    @property
    def key(self) -> ResolvedKey:
        """The resolved key: organization, plan, scopes."""
        return self.admission.key
