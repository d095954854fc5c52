"""The OpenAPI 3.1 document, generated from the same registrations that validate requests and write answers."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode
from starlette.responses import Response

from api.endpoint import Endpoint
from api.error_table import ERRORS
from api.http import PUBLIC, PublicCall, Router
from api.operations import ERROR_SCHEMAS, SECURITY_SCHEMES, operation
from api.permissions import matrix_markdown
from api.reply import dumps

CACHE = "public, max-age=300"
REF = "#/components/schemas/{model}"
ABOUT = """A multi-tenant platform: organizations, teams, API keys, metered messages, billing and payments.

Every JSON answer has one envelope: `success`, then `message` and `data`, or `error` with a stable `code`, the
`request_id` to quote to support, and `doc_url`. Ask for `application/problem+json` to get errors as RFC 9457 problems.

What each role may do:

"""

router = Router("", tag="Documentation")


@router.get("/openapi.json", access=PUBLIC, limit=None, quiet=True, cache=CACHE)
async def openapi(call: PublicCall) -> Response:
    """This document."""
    document: Document = call.exchange.scope["state"]["openapi"]
    return Response(document.body, media_type="application/json", headers={"Cache-Control": CACHE})


class Document:
    """The document of some routers, made once when it is first asked for."""

    def __init__(self, routers: Iterable[Router], base_url: str) -> None:
        self.endpoints = [endpoint for each in routers if each.documented for endpoint in each.endpoints]
        self.base_url = base_url

    @cached_property
    def body(self) -> bytes:
        """The document as JSON."""
        return dumps(self.content)

    @cached_property
    def content(self) -> dict[str, Any]:
        """The document as plain values."""
        types, definitions = _types(self.endpoints)
        paths: dict[str, dict[str, Any]] = {}
        for endpoint, schemas in zip(self.endpoints, types, strict=True):
            declared = endpoint.declared
            paths.setdefault(declared.template, {})[declared.method.lower()] = operation(endpoint, schemas, definitions)
        return {
            "openapi": "3.1.0",
            "info": {"title": "MTS API", "version": "1.0.0", "description": ABOUT + matrix_markdown()},
            "servers": [{"url": self.base_url}],
            "tags": [{"name": tag} for tag in dict.fromkeys(endpoint.declared.tag for endpoint in self.endpoints)],
            "paths": paths,
            "components": {
                "schemas": definitions | ERROR_SCHEMAS,
                "securitySchemes": SECURITY_SCHEMES,
                "examples": {code: _example(code, self.base_url) for code in ERRORS},
            },
        }


def _types(endpoints: list[Endpoint]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """For each endpoint the schemas of its body, query, answer and path parameters; and what they refer to."""
    inputs: list[tuple[tuple[int, str], JsonSchemaMode, TypeAdapter[Any]]] = []
    for number, endpoint in enumerate(endpoints):
        types = endpoint.types
        read = {"body": types.body, "query": types.query, **types.path}
        inputs += [((number, part), "validation", TypeAdapter(kind)) for part, kind in read.items() if kind]
        inputs.append(((number, "answer"), "serialization", TypeAdapter(types.answer)))
    schemas, definitions = TypeAdapter.json_schemas(inputs, ref_template=REF)
    by_endpoint: list[dict[str, Any]] = [{} for _ in endpoints]
    for ((number, part), _), schema in schemas.items():
        by_endpoint[number][part] = schema
    return by_endpoint, definitions.get("$defs", {})


def _example(code: str, base_url: str) -> dict[str, Any]:
    kind = ERRORS[code]
    error = {
        "code": code,
        "message": kind.title,
        "details": {},
        "request_id": "0192f0c1-2b7d-7cc3-98c4-dc0c0c07398f",
        "doc_url": f"{base_url}/docs/errors#{code}",
    }
    return {"summary": kind.title, "description": kind.description, "value": {"success": False, "error": error}}
