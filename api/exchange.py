"""One request and its answer as the middleware sees them: made at the edge, shared by every step, logged at the end."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from time import perf_counter
from uuid import UUID

from starlette.types import Message, Scope, Send

from api.address import client_address
from api.declaration import Declaration
from api.reply import Header, Reply
from db.errors import DomainError
from jobs.logs import request_context


@dataclass(frozen=True, slots=True)
class Edge:
    """What every exchange of a process shares: the public address, and the proxies it believes."""

    base_url: str
    proxies: tuple[IPv4Network | IPv6Network, ...]


class Exchange:
    """Collects what the steps know about a request, and adds their headers when the answer starts.

    `record_id` is made once here and becomes the id of the usage record; `request_id` is the text shown to people,
    which is the caller's own when it sent an acceptable one.
    """

    __slots__ = (
        "_address",
        "_forward",
        "declared",
        "edge",
        "error_reply",
        "headers",
        "organization_id",
        "record_id",
        "replayed",
        "request_headers",
        "request_id",
        "scope",
        "started",
        "status",
    )  # fmt: skip

    def __init__(self, scope: Scope, send: Send, record_id: UUID, edge: Edge) -> None:
        self.scope = scope
        self.edge = edge
        self.request_headers: dict[bytes, bytes] = dict(scope["headers"])
        self.record_id = record_id
        self.request_id = str(record_id)
        self.started = perf_counter()
        self.status = 0
        # Of the endpoint that answers, once it is known: what is declared about it, and how its errors look.
        self.declared: Declaration | None = None
        self.error_reply: Callable[[DomainError, Exchange], Reply] | None = None
        self.organization_id: UUID | None = None
        self.replayed = False  # the answer is a stored one
        self.headers: list[Header] = []
        self._forward = send
        self._address: str | None = None

    async def send(self, message: Message) -> None:
        """Forward to the server, adding the collected headers to the start of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self.headers]
        await self._forward(message)

    def belongs_to(self, organization_id: UUID) -> None:
        """Name the organization in every log line from here on."""
        self.organization_id = organization_id
        request_context.set({"request_id": self.request_id, "organization_id": str(organization_id)})

    def header(self, name: bytes) -> str | None:
        """A request header by its lower-case name (the last one when repeated)."""
        value = self.request_headers.get(name)
        return None if value is None else value.decode("latin-1")

    def replace_headers(self, headers: list[Header]) -> None:
        """Let an answer's own headers win over collected ones of the same name."""
        names = {name for name, _ in headers}
        self.headers = [header for header in self.headers if header[0] not in names]

    @property
    def route(self) -> str:
        """The path template of the endpoint, or a dash when none was found: never the raw path."""
        return self.declared.template if self.declared else "-"

    @property
    def duration(self) -> float:
        """Seconds since the request arrived."""
        return perf_counter() - self.started

    @property
    def address(self) -> str:
        """The client's address, believing X-Forwarded-For only from configured proxies."""
        if self._address is None:
            self._address = client_address(self.scope, self.edge.proxies)
        return self._address


ErrorReply = Callable[[DomainError, Exchange], Reply]
"""How a refusal looks to whoever asked: the API's envelope, or a page."""
