"""Whether what db/ makes of rows fits the columns of their statements, as sentences about what does not."""

import dataclasses
from collections.abc import Iterator
from dataclasses import MISSING
from datetime import date, datetime
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from db.statements import QUERIES, load
from tests.sql.described import Column, always_gives_a_row
from tests.sql.never_null import ALWAYS_THERE, NEVER_NULL
from tests.sql.rows import Findings, Landing, Unpacking
from tests.sql.test_annotations import plain

# What asyncpg makes of each type, with the codecs of db/pool.py. A new type fails until it is written here.
GIVEN: dict[str, tuple[type, ...]] = {
    "uuid": (UUID,), "text": (str,), "character varying": (str,), "integer": (int,), "bigint": (int,), "xid8": (int,),
    "boolean": (bool,), "timestamp with time zone": (datetime,), "date": (date,), "bytea": (bytes,),
    "jsonb": (dict, list), "double precision": (float,), "text[]": (list,), "name": (str,),
}  # fmt: skip
STATEMENTS: dict[str, Any] = {
    f"{file.stem}.{name}": getattr(load(file.stem), name)
    for file in sorted(QUERIES.glob("*.sql"))
    for name in load(file.stem).available_queries
    if not name.endswith("_cursor")
}


class Checker:
    """Compares what was read with the columns; remembers which declarations were needed."""

    def __init__(self, columns: dict[str, list[Column]]) -> None:
        self.columns = columns
        self.needed: set[tuple[str, str]] = set()

    def complaints(self, findings: Findings) -> Iterator[str]:
        """Everything that does not fit, as sentences."""
        for landing in findings.landings:
            yield from self._landing(landing)
        for unpacking in findings.unpackings:
            yield from self._unpacking(unpacking)
        for where, value in findings.reads:
            if not value.is_asked_for and value.column not in {each.name for each in self.columns[value.statement]}:
                yield f"{where}: {value.statement} has no column {value.column}"
        for fetch in findings.fetches:
            if not fetch.is_looked_at:
                yield from self._absent(fetch.where, fetch.statement)

    def _landing(self, landing: Landing) -> Iterator[str]:
        value, given = landing.value, self.columns[landing.value.statement]
        found = given[:1] if value.column is None else [each for each in given if each.name == value.column]
        for column in found:
            yield from self._column(landing.where, value.statement, column, landing.annotation, value.is_checked)
        if value.column is None and not value.is_checked and not is_optional(landing.annotation):
            yield from self._absent(landing.where, value.statement)

    def _unpacking(self, made: Unpacking) -> Iterator[str]:
        hints, name = get_type_hints(made.made), made.row.statement
        left = [each for each in self.columns[name] if each.name not in made.row.without]
        for column in left:
            if column.name in hints:
                yield from self._column(made.where, name, column, hints[column.name], False)
            else:
                yield f"{made.where}: {name} gives {column.name}, which {made.made.__name__} has no field for"
        for each in dataclasses.fields(made.made):
            is_given = each.name in made.given or each.name in {column.name for column in left}
            if each.default is MISSING and each.default_factory is MISSING and not is_given:
                yield f"{made.where}: {name} does not give {each.name} of {made.made.__name__}"

    def _column(self, where: str, statement: str, column: Column, annotation: Any, is_checked: bool) -> Iterator[str]:
        if column.is_nullable and not is_checked and not is_optional(annotation):
            self.needed.add((statement, column.name))
            if (statement, column.name) not in NEVER_NULL:
                yield f"{where}: {statement} may give null for {column.name}, which lands in {annotation}"
        if annotation not in (Any, object) and not plain(annotation) & set(GIVEN[column.type]):
            yield f"{where}: {statement} gives {column.type} for {column.name}, which lands in {annotation}"

    def _absent(self, where: str, statement: str) -> Iterator[str]:
        if not always_gives_a_row(STATEMENTS[statement].sql):
            self.needed.add((statement, ""))
            if statement not in ALWAYS_THERE:
                yield f"{where}: {statement} may give no row, and nobody looks"


def is_optional(annotation: Any) -> bool:
    """Whether None may land there."""
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    return annotation is Any or type(None) in parts
