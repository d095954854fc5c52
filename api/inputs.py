"""Reading what a caller sent – body, query, path – into types, with every wrong field named at once."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.types import Receive

from api.errors import Refused
from api.exchange import Exchange
from api.fields import Body, Query
from api.validation import invalid, problems
from db.errors import Invalid, NotFound

MAX_BODY = 1_048_576  # bytes


async def read_body(receive: Receive) -> bytes:
    """The whole request body. Raises INVALID_REQUEST when the caller hung up in the middle."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body"):
        return body
    parts = [body]
    while message["type"] == "http.request" and message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    if message["type"] == "http.disconnect":
        raise Invalid("INVALID_REQUEST", "The body ended too early")
    return b"".join(parts)


def too_large() -> Refused:
    """The error for a body over the limit."""
    return Refused(413, "INVALID_REQUEST", "The body is larger than 1 MiB", {"Connection": "close"})


class BodyReader:
    """Turns raw bytes – JSON, or an HTML form – into one body type."""

    def __init__(self, model: type[Body], form: bool = False) -> None:
        self.model = model
        self._form = form
        self._optional = not any(field.is_required() for field in model.model_fields.values())

    def __call__(self, exchange: Exchange, raw: bytes) -> Body:
        """Raises 415, INVALID_REQUEST for what cannot be read at all, or VALIDATION_ERROR."""
        try:
            return self._read_form(exchange, raw) if self._form else self._read_json(exchange, raw)
        except ValidationError as error:
            raise invalid(error.errors(include_url=False, include_input=False), "body") from None

    def _read_json(self, exchange: Exchange, raw: bytes) -> Body:
        if raw or not self._optional:
            _require_type(exchange, b"application/json")
        body = self.model.model_validate_json(raw or b"{}" if self._optional else raw)
        if b"\\u0000" in raw:
            _refuse_nul(raw)
        return body

    def _read_form(self, exchange: Exchange, raw: bytes) -> Body:
        _require_type(exchange, b"application/x-www-form-urlencoded")
        return self.model.model_validate(_values(raw, _lists(self.model)), strict=False)


class QueryReader:
    """Turns the query string into one query type."""

    def __init__(self, model: type[Query]) -> None:
        self.model = model
        self._lists = _lists(model)

    def __call__(self, exchange: Exchange) -> Query:
        """Raises VALIDATION_ERROR."""
        try:
            return self.model.model_validate(_values(exchange.scope["query_string"], self._lists))
        except ValidationError as error:
            raise invalid(error.errors(include_url=False, include_input=False), "query") from None


def path_reader(annotation: Any) -> Callable[[str], Any]:
    """How to read one path parameter; what does not fit its type is not found."""
    while hasattr(annotation, "__supertype__"):
        annotation = annotation.__supertype__
    if annotation is UUID:
        return _uuid
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)

    def read(text: str) -> Any:
        try:
            return adapter.validate_python(_plain(text))
        except ValidationError:
            raise not_found() from None

    return read


def not_found() -> NotFound:
    """The one answer for what does not exist, is malformed, or belongs to somebody else."""
    return NotFound("What you asked for was")


def _require_type(exchange: Exchange, wanted: bytes) -> None:
    kind = exchange.request_headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if kind != wanted:
        raise Refused(415, "INVALID_REQUEST", f"Send the body as {wanted.decode()}", {"Accept": wanted.decode()})


def _refuse_nul(raw: bytes) -> None:
    found = [(path, "Must not contain NUL") for path, text in _texts(json.loads(raw), "") if "\x00" in text]
    if found:
        raise problems(found)


def _texts(value: object, path: str) -> list[tuple[str, str]]:
    """Every string in a JSON value, names included, with its path."""
    if isinstance(value, str):
        return [(path, value)]
    found: list[tuple[str, str]] = []
    if isinstance(value, dict):
        for name, inner in value.items():
            place = f"{path}.{name}".lstrip(".").replace("\x00", "")
            found += [(place, name), *_texts(inner, place)]
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += _texts(inner, f"{path}.{index}".lstrip("."))
    return found


def _values(raw: bytes, lists: frozenset[str]) -> dict[str, Any]:
    """The pairs of a query string or form; a list field may be repeated, no other may."""
    values: dict[str, Any] = {}
    for name, value in _pairs(raw):
        if "\x00" in value or "\x00" in name:
            raise problems([(name.replace("\x00", ""), "Must not contain NUL")])
        if name in lists:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise problems([(name, "Must be given once")])
        else:
            values[name] = value
    return values


def _lists(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(name for name, field in model.model_fields.items() if "list[" in str(field.annotation))


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    if not raw:
        return []
    try:
        return parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise Invalid("INVALID_REQUEST", "The query or form is malformed") from None


def _plain(text: str) -> str:
    if "\x00" in text:
        raise not_found()
    return text


def _uuid(text: str) -> UUID:
    if len(text) != 36:
        raise not_found()
    try:
        return UUID(text)
    except ValueError:
        raise not_found() from None
