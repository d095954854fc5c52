"""One registered endpoint: its declaration, its handler's types read once, and the way from a request to a reply."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.call import PublicCall
from api.declaration import Declaration
from api.error_table import ERRORS
from api.exchange import ErrorReply, Exchange
from api.fields import Body, Query, unmark
from api.inputs import BodyReader, QueryReader, path_reader, read_body
from api.reply import JSON, Header, Reply, success_head
from api.tokens import Claims
from db.errors import DomainError
from jobs.resources import Resources

Handler = Callable[..., Awaitable[Any]]
Flow = Callable[["Endpoint", Exchange, Scope, Receive], Awaitable[Reply]]
ReadClaims = Callable[[Exchange, Resources], Claims]


@dataclass(slots=True)
class _Signature:
    body: Any = None
    query: Any = None
    answers_itself: bool = False
    path: dict[str, Any] = field(default_factory=dict)
    answer: Any = None


class Endpoint:
    """An ASGI application that answers one method of one path."""

    def __init__(
        self,
        declaration: Declaration,
        handler: Handler,
        flow: Flow,
        *,
        claims: ReadClaims,
        error_reply: ErrorReply,
        form: bool = False,
    ) -> None:
        self.declared = declaration
        self.handler = handler
        self.claims = claims
        self.types = _read_signature(declaration, handler)
        self._flow = flow
        self._error_reply = error_reply
        self._body = BodyReader(self.types.body, form) if self.types.body else None
        self._query = QueryReader(self.types.query) if self.types.query else None
        self._path = [(name, path_reader(kind)) for name, kind in self.types.path.items()]
        self.enveloped = declaration.status != 204 and not (self.types.answer is None and self.types.answers_itself)
        self._adapter: TypeAdapter[Any] = TypeAdapter(self.types.answer)
        self._head = success_head(declaration.message)
        self._headers: list[Header] = [JSON, (b"cache-control", declaration.cache.encode())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope["exchange"]
        exchange.declared, exchange.error_reply = self.declared, self._error_reply
        try:
            reply = await self._flow(self, exchange, scope, receive)
        except DomainError as error:
            reply = self._error_reply(error, exchange)
        await reply.send(send)

    async def read(self, receive: Receive) -> bytes:
        """The raw body, when the handler takes one."""
        return await read_body(receive) if self._body else b""

    async def run(self, call: PublicCall, raw: bytes) -> Reply:
        """Check the inputs, call the handler, and serialize its answer."""
        exchange = call.exchange
        inputs: dict[str, Any] = {}
        if self._path:
            found = exchange.scope["path_params"]
            inputs = {name: reader(found[name]) for name, reader in self._path}
        if self._query:
            inputs["query"] = self._query(exchange)
        if self._body:
            inputs["body"] = self._body(exchange, raw)
        return self.reply(exchange, await self.handler(call, **inputs))

    def reply(self, exchange: Exchange, answer: object) -> Reply:
        """The envelope around an answer, or the handler's own response as it is."""
        if isinstance(answer, Response):
            return _own_response(exchange, answer)
        if self.declared.status == 204:
            return Reply(204, b"", self._headers[1:])
        body = self._head + unmark(self._adapter.dump_json(answer)) + b"}"
        return Reply(self.declared.status, body, self._headers)

    def replayed(self, status: int, body: bytes) -> Reply:
        """A stored answer, sent again."""
        return Reply(status, body, self._headers)

    def error(self, error: DomainError, exchange: Exchange) -> Reply:
        """The answer for an error in this endpoint's form (JSON, or a page)."""
        return self._error_reply(error, exchange)


def _own_response(exchange: Exchange, response: Response) -> Reply:
    headers = [header for header in response.raw_headers if header[0] != b"content-length"]
    if not any(name == b"cache-control" for name, _ in headers):
        headers.append((b"cache-control", b"no-store"))
    exchange.replace_headers(headers)
    return Reply(response.status_code, bytes(response.body), headers)


def _read_signature(declaration: Declaration, handler: Handler) -> _Signature:
    """Sort the handler's parameters into call, body, query and path; raises TypeError for what cannot be served."""
    where = f"{declaration.method} {declaration.template}"
    hints = get_type_hints(handler, include_extras=True)
    names = list(inspect.signature(handler).parameters)
    if names[:1] != ["call"] or "call" not in hints or "return" not in hints:
        raise TypeError(f"{where}: the handler takes an annotated `call` first and says what it returns")
    types = _Signature(body=hints.get("body"), query=hints.get("query"))
    types.answer, types.answers_itself = _answer_type(hints["return"])
    types.path = {name: hints[name] for name in names[1:] if name not in ("body", "query")}
    _require_base(where, types.body, Body)
    _require_base(where, types.query, Query)
    for model in (types.body, types.query):
        _refuse_bare_times(where, model)
    unknown = [code for code in declaration.errors if code not in ERRORS]
    if unknown:
        raise TypeError(f"{where}: {unknown} are not in the table of errors")
    in_template = {part.split("}")[0] for part in declaration.template.split("{")[1:]}
    if in_template != set(types.path):
        raise TypeError(f"{where}: path parameters {sorted(in_template)} but arguments {sorted(types.path)}")
    return types


def _require_base(where: str, model: Any, base: type) -> None:
    if model is not None and not (isinstance(model, type) and issubclass(model, base)):
        raise TypeError(f"{where}: {model!r} must be a subclass of {base.__name__}, which refuses unknown fields")


def _refuse_bare_times(where: str, model: Any) -> None:
    """Pydantic would read the text `0` as a day of 1970: fields are `Day` or `Timestamp`, which do not."""
    for name, field_info in model.model_fields.items() if model else ():
        kinds = get_args(field_info.annotation) or (field_info.annotation,)
        if not field_info.metadata and any(kind in (date, datetime) for kind in kinds):
            raise TypeError(f"{where}: {name} must be a Day or a Timestamp of api.fields")


def _answer_type(annotation: Any) -> tuple[Any, bool]:
    """The part of the return annotation that is serialized, and whether a response of the handler's own is possible."""
    own = [
        each for each in get_args(annotation) or (annotation,) if isinstance(each, type) and issubclass(each, Response)
    ]
    if not own:
        return annotation, False
    rest = [each for each in get_args(annotation) if each not in own]
    return (rest[0] if rest else None), True
