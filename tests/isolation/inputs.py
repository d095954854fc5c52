"""What a caller can name at every endpoint: read from the registrations, so that a new one is found by itself."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel

from api.app import create_app
from api.endpoint import Endpoint
from api.pages.forms import Form
from api.permissions import PUBLIC, SIGNED, Scope
from api.routing import RouteTable
from tests.stack import settings_for

_APP = create_app(settings_for("postgresql://nobody@127.0.0.1/none", "redis://127.0.0.1", 9, Path("/tmp")))
(_TABLE,) = [route for route in _APP.routes if isinstance(route, RouteTable)]
ENDPOINTS: list[Endpoint] = list(_TABLE.endpoints)
FORM_MODEL = re.compile(r"body\.read\((\w+)\.(\w+)")
NAMING = re.compile(r"(_id|_ids|token|cursor|reference|trxref|row|key)$")


@dataclass(frozen=True)
class Input:
    """One place of one endpoint where something can be named."""

    endpoint: Endpoint
    place: Literal["path", "query", "body"]
    name: str

    def __str__(self) -> str:
        return f"{name_of(self.endpoint)} {self.place} {self.name}"


def name_of(endpoint: Endpoint) -> str:
    """Method and path."""
    return f"{endpoint.declared.method} {endpoint.declared.template}"


def is_page(endpoint: Endpoint) -> bool:
    """Whether it takes its session from the cookie, not from a header."""
    return endpoint.claims.__module__ == "api.pages.cookies"


def kind_of(endpoint: Endpoint) -> Literal["open", "key", "seat"]:
    """Who may call."""
    access = endpoint.declared.access
    if isinstance(access, Scope):
        return "key"
    return "open" if access in (PUBLIC, SIGNED) else "seat"


def body_model(endpoint: Endpoint) -> type[BaseModel] | None:
    """The body's type; for a page's form the type that its handler reads it as."""
    model: type[BaseModel] | None = endpoint.types.body
    if model is None or not issubclass(model, Form):
        return model
    handler: Any = inspect.unwrap(endpoint.handler)
    found = FORM_MODEL.search(inspect.getsource(handler))
    return getattr(handler.__globals__[found[1]], found[2]) if found else model


def inputs(endpoint: Endpoint) -> Iterator[Input]:
    """Everything that can be named at an endpoint."""
    for name, kind in endpoint.types.path.items():
        if get_origin(kind) is not Literal:
            yield Input(endpoint, "path", name)
    for place, model in (("query", endpoint.types.query), ("body", body_model(endpoint))):
        for name, field in (model.model_fields if model else {}).items():
            if names_something(name, field.annotation) and name not in endpoint.types.path:
                yield Input(endpoint, place, name)  # type: ignore[arg-type]


def names_something(name: str, annotation: Any) -> bool:
    """Whether a field holds an id, a token or a cursor, by its type or by its name."""
    return UUID in (annotation, *get_args(annotation)) or bool(NAMING.search(name))


def required(endpoint: Endpoint) -> list[str]:
    """The fields that a body must have."""
    model = body_model(endpoint)
    return [name for name, field in model.model_fields.items() if field.is_required()] if model else []


INPUTS = [each for endpoint in ENDPOINTS for each in inputs(endpoint)]
