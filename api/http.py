"""How a subject declares its endpoints: `Router`, and the names that go with it."""

from collections.abc import Callable
from typing import TypedDict, TypeVar, Unpack

from api import errors
from api.call import KeyCall, PublicCall, SignedCall, TenantCall, UserCall
from api.declaration import AccessRule, Declaration, Limit
from api.endpoint import Endpoint, Handler, ReadClaims
from api.exchange import ErrorReply
from api.flows import flow_for
from api.middleware import authentication
from api.permissions import ANY_USER, PUBLIC, SIGNED, Access, Permission, Scope

__all__ = [
    "ANY_USER", "PUBLIC", "SIGNED", "KeyCall", "Limit", "Permission", "PublicCall", "Router", "Scope", "SignedCall",
    "TenantCall", "UserCall",
]  # fmt: skip

BASE = "/api/v1"
BY_ADDRESS = Limit("public", 120, 60)
BY_USER = Limit("dashboard", 300, 60)
BY_WEBHOOK = Limit("webhook", 1200, 60)

H = TypeVar("H", bound=Handler)


class Options(TypedDict, total=False):
    """What an endpoint may declare beyond its path and access."""

    status: int  # of the successful answer; 200
    message: str  # of the successful answer
    limit: Limit | None  # calls by address or by user; None for none. Keys have their plan's limit instead
    idempotent: bool  # an Idempotency-Key is honoured
    secret_answer: bool  # the stored answer is encrypted, because it holds a secret
    writes: bool  # a GET that writes; every other method may
    # One statement is the whole transaction, unless an Idempotency-Key needs one around it; of a person's session it is
    # also what checks the seat, so no permission can be declared with it.
    at_once: bool
    replica: bool  # a large read, whose figures may come from a standby (api/middleware/replica.py)
    transaction: bool  # False for a handler that talks to the outside and opens `call.transaction()` itself
    verified: bool  # the seat's e-mail must be verified
    cache: str  # Cache-Control; "no-store" unless said otherwise
    errors: tuple[str, ...]  # codes of its own, for the documentation
    quiet: bool  # logged at debug level


class Router:
    """The endpoints of one subject under one prefix.

    `claims` says where a session token comes from, `error_reply` how errors look, `form` that bodies are HTML forms:
    pages replace all three, the API keeps the bearer token, the envelope and JSON.
    """

    def __init__(
        self,
        prefix: str,
        *,
        tag: str,
        base: str = BASE,
        claims: ReadClaims = authentication.claims,
        error_reply: ErrorReply = errors.reply,
        form: bool = False,
        documented: bool = True,
    ) -> None:
        self.endpoints: list[Endpoint] = []
        self.documented = documented
        self._root = base + prefix
        self._tag = tag
        self._claims = claims
        self._error_reply = error_reply
        self._form = form

    def get(self, path: str, *, access: AccessRule, **options: Unpack[Options]) -> Callable[[H], H]:
        """Register a reader; its transaction is read-only unless `writes=True`."""
        return self._register("GET", path, access, options)

    def post(self, path: str, *, access: AccessRule, **options: Unpack[Options]) -> Callable[[H], H]:
        """Register a handler of POST."""
        return self._register("POST", path, access, options)

    def put(self, path: str, *, access: AccessRule, **options: Unpack[Options]) -> Callable[[H], H]:
        """Register a handler of PUT."""
        return self._register("PUT", path, access, options)

    def patch(self, path: str, *, access: AccessRule, **options: Unpack[Options]) -> Callable[[H], H]:
        """Register a handler of PATCH."""
        return self._register("PATCH", path, access, options)

    def delete(self, path: str, *, access: AccessRule, **options: Unpack[Options]) -> Callable[[H], H]:
        """Register a handler of DELETE."""
        return self._register("DELETE", path, access, options)

    def _register(self, method: str, path: str, access: AccessRule, options: Options) -> Callable[[H], H]:
        declared = self._declare(method, path, access, options)

        def register(handler: H) -> H:
            self.endpoints.append(
                Endpoint(
                    declared,
                    handler,
                    flow_for(access),
                    claims=self._claims,
                    error_reply=self._error_reply,
                    form=self._form,
                )
            )
            return handler

        return register

    def _declare(self, method: str, path: str, access: AccessRule, options: Options) -> Declaration:
        template = self._root + path
        if not isinstance(access, (Access, Permission, Scope)):
            raise TypeError(f"{method} {template}: say who may call it, with `access`")
        if options.get("idempotent") and (method == "GET" or access in (PUBLIC, SIGNED)):
            raise TypeError(f"{method} {template}: an Idempotency-Key needs a caller of one organization, and a write")
        if options.get("at_once") and not isinstance(access, Scope) and (access is not ANY_USER or method != "GET"):
            raise TypeError(f"{method} {template}: only a look that any user may have is one statement")
        only_reads = method == "GET" and not options.get("writes", False) and not options.get("at_once", False)
        if options.get("replica", False) and not (only_reads and options.get("transaction", True)):
            raise TypeError(f"{method} {template}: a replica is for what only reads, in one transaction")
        return Declaration(
            method=method,
            template=template,
            tag=self._tag,
            access=access,
            status=options.get("status", 200),
            message=options.get("message", "OK"),
            limit=options.get("limit", _default_limit(access)),
            idempotent=options.get("idempotent", False),
            secret_answer=options.get("secret_answer", False),
            read_only=method == "GET" and not options.get("writes", False),
            transaction=options.get("transaction", True),
            at_once=options.get("at_once", False),
            replica=options.get("replica", False),
            verified=options.get("verified", False),
            cache=options.get("cache", "no-store"),
            errors=options.get("errors", ()),
            quiet=options.get("quiet", False),
        )


def _default_limit(access: AccessRule) -> Limit | None:
    if access is PUBLIC:
        return BY_ADDRESS
    if access is SIGNED:
        return BY_WEBHOOK
    return None if isinstance(access, Scope) else BY_USER
