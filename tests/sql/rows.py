"""What can be known of a row on its way through db/: where it comes from, and what it becomes."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """A row of a statement (`subject.name`), without the columns that were taken out of it."""

    statement: str
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Rows:
    """Several of them."""

    row: Row


@dataclass(frozen=True)
class Value:
    """One column of a row; None is the first column of the first row, which may not be there.

    `is_asked_for` is one that not every statement has, `is_checked` one of which somebody asks whether it is None.
    """

    statement: str
    column: str | None
    is_asked_for: bool = False
    is_checked: bool = False


@dataclass(frozen=True)
class Landing:
    """A value that lands in something of a written type."""

    where: str
    value: Value
    annotation: Any


@dataclass(frozen=True)
class Unpacking:
    """A whole row that becomes a dataclass together with the fields that are `given` beside it."""

    where: str
    row: Row
    made: type
    given: frozenset[str]


@dataclass(frozen=True)
class Fetch:
    """One row that may not be there, and whether somebody looks."""

    where: str
    statement: str
    is_looked_at: bool


@dataclass
class Findings:
    """What was read of all of db/."""

    landings: set[Landing] = field(default_factory=set)
    unpackings: set[Unpacking] = field(default_factory=set)
    fetches: set[Fetch] = field(default_factory=set)
    reads: set[tuple[str, Value]] = field(default_factory=set)
    called: set[str] = field(default_factory=set)
