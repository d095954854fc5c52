"""What cannot be served cannot be registered."""

import ast
from datetime import date
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import BaseModel

from api.error_table import ERRORS
from api.fields import Body, Query
from api.http import ANY_USER, PUBLIC, PublicCall, Router, UserCall
from api.routing import RouteTable
from settings import ROOT


@pytest.mark.parametrize("option", [{"writes": True}, {"transaction": False}, {"at_once": True}])
def test_a_replica_is_for_what_only_reads_in_one_transaction(option: dict[str, bool]) -> None:
    router = Router("/x", tag="X")
    with pytest.raises(TypeError, match="only reads"):
        router.get("", access=ANY_USER, replica=True, **option)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="only reads"):
        router.post("", access=ANY_USER, replica=True)


def test_an_endpoint_without_access_cannot_be_registered() -> None:
    router = Router("/x", tag="X")
    with pytest.raises(TypeError, match="access"):
        router.get("")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="say who may call it"):
        router.get("", access=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="say who may call it"):
        router.post("", access="public")  # type: ignore[arg-type]


def test_a_body_that_would_let_unknown_fields_pass_cannot_be_registered() -> None:
    class Loose(BaseModel):
        name: str

    async def handler(call: PublicCall, body: Loose) -> None: ...

    handler.__annotations__["body"] = Loose
    with pytest.raises(TypeError, match="must be a subclass of Body"):
        Router("/x", tag="X").post("", access=PUBLIC)(handler)


def test_path_parameters_and_arguments_must_agree() -> None:
    async def handler(call: UserCall, key_id: UUID) -> None: ...

    with pytest.raises(TypeError, match="path parameters"):
        Router("/x", tag="X").get("/{id}", access=ANY_USER)(handler)


def test_an_unannotated_handler_cannot_be_registered() -> None:
    async def handler(call):  # type: ignore[no-untyped-def]
        return None

    with pytest.raises(TypeError, match="annotated"):
        Router("/x", tag="X").get("", access=PUBLIC)(handler)


def test_a_code_that_is_not_in_the_table_cannot_be_declared() -> None:
    async def handler(call: PublicCall) -> None: ...

    with pytest.raises(TypeError, match="NO_SUCH_CODE"):
        Router("/x", tag="X").get("", access=PUBLIC, errors=("NO_SUCH_CODE",))(handler)


def test_a_path_cannot_be_registered_twice() -> None:
    async def handler(call: PublicCall) -> None: ...

    router = Router("/x", tag="X")
    router.get("", access=PUBLIC)(handler)
    router.get("", access=PUBLIC)(handler)
    with pytest.raises(TypeError, match="twice"):
        RouteTable(router.endpoints)


def test_only_writers_of_an_organization_can_be_idempotent() -> None:
    router = Router("/x", tag="X")
    with pytest.raises(TypeError, match="Idempotency-Key"):
        router.post("", access=PUBLIC, idempotent=True)
    with pytest.raises(TypeError, match="Idempotency-Key"):
        router.get("", access=ANY_USER, idempotent=True)


def test_a_body_type_is_strict_about_unknown_fields() -> None:
    assert Body.model_config["extra"] == "forbid"
    assert Body.model_config["strict"] is True


def test_every_code_that_is_raised_is_in_the_table() -> None:
    raised = {code for floor in ("db", "jobs", "api") for path in (ROOT / floor).rglob("*.py") for code in codes(path)}
    assert raised - set(ERRORS) == set()


KINDS = {"Invalid", "Unauthorized", "Forbidden", "Conflict", "Unprocessable", "TooMany", "DomainError", "Refused"}


def codes(path: Path) -> list[str]:
    """The codes that a module gives to errors."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            found += [text for text in texts if text.isupper()]
    return found


def test_a_bare_date_cannot_be_registered() -> None:
    class Loose(Query):
        since: date | None = None

    async def handler(call: PublicCall, query: Loose) -> None: ...

    handler.__annotations__["query"] = Loose
    with pytest.raises(TypeError, match="must be a Day"):
        Router("/x", tag="X").get("", access=PUBLIC)(handler)
