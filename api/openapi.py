"""The OpenAPI 3.1 document, generated from the same registrations that validate requests and write answers."""

from functools import cached_property
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from api.endpoint import Endpoint
from api.error_table import ERRORS
from api.fields import Body, Query
from api.http import PUBLIC, SIGNED, PublicCall, Router
from api.permissions import Permission, Scope, matrix_markdown
from api.reply import dumps

router = Router("", tag="Documentation")

REF = "#/components/schemas/{model}"


@router.get("/openapi.json", access=PUBLIC, limit=None, quiet=True, cache="public, max-age=300")
async def openapi(call: PublicCall) -> Response:
    """This document."""
    document: Document = call.exchange.scope["state"]["openapi"]
    return Response(document.body, media_type="application/json", headers={"Cache-Control": "public, max-age=300"})


class Document:
    """The document of some routers, made once when first asked for."""

    def __init__(self, routers: list[Router], base_url: str) -> None:
        self.endpoints = [endpoint for each in routers if each.documented for endpoint in each.endpoints]
        self.base_url = base_url

    @cached_property
    def body(self) -> bytes:
        """The document as JSON."""
        return dumps(self.content)

    @cached_property
    def content(self) -> dict[str, Any]:
        """The document as plain values."""
        return {}
