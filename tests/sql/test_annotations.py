"""What db/ hands to a statement has the type that Postgres expects: the annotations against the prepared statement."""

import ast
import importlib
import inspect
import types
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, NewType, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import asyncpg
import pytest

from settings import ROOT
from tests.servers import Urls

# What asyncpg takes for each type of a parameter. A new type fails until it is written here.
TAKEN: dict[str, tuple[type, ...]] = {
    "uuid": (UUID,), "text": (str,), "int4": (int,), "int8": (int,), "bool": (bool,), "timestamptz": (datetime,),
    "date": (date,), "bytea": (bytes,), "jsonb": (dict, list, str), "float8": (float, int),
}  # fmt: skip


@dataclass(frozen=True)
class Argument:
    """One value that one function of db/ hands to one parameter of a statement."""

    where: str
    sql: str
    parameter: str
    position: int
    annotation: Any


def arguments() -> Iterator[Argument]:
    """Every argument of a statement that is a parameter of the calling function, or an attribute of one."""
    for path in sorted((ROOT / "db").glob("*.py")):
        module = importlib.import_module(f"db.{path.stem}")
        if hasattr(module, "queries"):
            yield from _of_module(module, path)


def _of_module(module: types.ModuleType, path: Path) -> Iterator[Argument]:
    for function in [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.AsyncFunctionDef)]:
        found = getattr(module, function.name, None)
        hints = get_type_hints(found) if inspect.isfunction(found) else {}
        for call in [node for node in ast.walk(function) if isinstance(node, ast.Call)]:
            if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "queries":
                yield from _of_call(module, path, function, hints, call, call.func.attr)


def _of_call(
    module: types.ModuleType,
    path: Path,
    function: ast.AsyncFunctionDef,
    hints: dict[str, Any],
    call: ast.Call,
    name: str,
) -> Iterator[Argument]:
    positions = module.queries.driver_adapter.var_sorted[name]
    for keyword in call.keywords:
        if keyword.arg is not None:
            annotation = _annotation(keyword.value, hints)
            if annotation is not None:
                where = f"db/{path.name} {function.name} → {name}"
                sql = getattr(module.queries, name).sql
                yield Argument(where, sql, keyword.arg, positions.index(keyword.arg), annotation)


def _annotation(value: ast.expr, hints: dict[str, Any]) -> Any:
    """The type of `name` or `name.attribute`, when it is written down."""
    if isinstance(value, ast.Name):
        return hints.get(value.id)
    if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id in hints:
        owner = hints[value.value.id]
        return get_type_hints(owner).get(value.attr) if inspect.isclass(owner) else None
    return None


def plain(annotation: Any) -> set[type]:
    """The classes that a value can have at run time; empty for what cannot be told."""
    if isinstance(annotation, NewType):
        return plain(annotation.__supertype__)
    if get_origin(annotation) is Literal:
        return {type(value) for value in get_args(annotation)}
    if get_origin(annotation) in (Union, types.UnionType):
        return {each for part in get_args(annotation) if part is not type(None) for each in plain(part)}
    if inspect.isclass(get_origin(annotation)):
        return {get_origin(annotation)}
    return {annotation} if inspect.isclass(annotation) else set()


@pytest.fixture
async def conn(urls: Urls) -> AsyncIterator[asyncpg.Connection]:
    """A connection that may prepare everything."""
    opened = await asyncpg.connect(urls.superuser)
    yield opened
    await opened.close()


ARGUMENTS = list(arguments())


def test_there_is_something_to_compare() -> None:
    assert len(ARGUMENTS) > 150
    assert len([each for each in ARGUMENTS if plain(each.annotation)]) > 150


async def test_every_annotated_argument_fits_its_parameter(conn: asyncpg.Connection) -> None:
    wrong = []
    for each in ARGUMENTS:
        expected = (await conn.prepare(each.sql)).get_parameters()[each.position]
        given = plain(each.annotation)
        if expected.kind == "array":
            fits = all(issubclass(kind, (list, tuple)) or kind.__module__ == "collections.abc" for kind in given)
        else:
            fits = all(_fits(kind, TAKEN[expected.name]) for kind in given)
        if not fits:
            wrong.append(f"{each.where}: {each.parameter} is {each.annotation}, Postgres expects {expected.name}")
    assert not wrong, "\n".join(wrong)


def _fits(kind: type, taken: tuple[type, ...]) -> bool:
    """A datetime is no date and a bool is no number, although Python says so; a mapping becomes jsonb."""
    if kind in (datetime, bool):
        return kind in taken
    return any(issubclass(kind, each) for each in taken) or (dict in taken and kind.__module__ == "collections.abc")
