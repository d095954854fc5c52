"""Two organizations with rows in every table, seen through the connection of the role that attacks."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from tests.isolation.catalog import Table
from tests.isolation.planting import Row

DENIED = "42501"
NO_CONTEXT = "ORG01"


@dataclass(frozen=True)
class Outcome:
    """What became of a statement: an SQLSTATE, or how many rows it touched and what came back."""

    sqlstate: str | None
    touched: int
    value: Any
    constraint: str | None = None
    message: str = ""

    def is_harmless(self, *errors: str) -> bool:
        """Refused with one of the errors, or nothing touched and nothing counted."""
        return self.sqlstate in errors if self.sqlstate else not self.touched or self.value == 0


@dataclass(frozen=True)
class World:
    """Two organizations with a row in every table, and the role that attacks from the second."""

    conn: psycopg.Connection
    tables: list[Table]
    victim: UUID
    attacker: UUID
    victims: dict[str, Row]
    attackers: dict[str, Row]

    def attempt(self, statement: sql.Composable, values: list[Any] | None = None, context: Any = "own") -> Outcome:
        """Run one statement in a transaction of its own, with the attacker's (or another) context, and undo it."""
        organization = self.attacker if context == "own" else context
        try:
            if organization is not None:
                self.conn.execute("select set_config('app.current_org_id', %s, true)", [str(organization)])
            cursor = self.conn.execute(sql.Composed([statement]), values)
            value = (cursor.fetchone() or (None,))[0] if cursor.description else None
            self.conn.execute("set constraints all immediate")
            return Outcome(None, cursor.rowcount, value)
        except psycopg.Error as error:
            return Outcome(error.sqlstate, 0, None, error.diag.constraint_name, error.diag.message_primary or "")
        finally:
            self.conn.rollback()

    def own_rows(self, table: Table) -> int:
        """How many rows of a table are the attacker's own, as far as the role may count."""
        counted = sql.SQL("select count(*) from {} where organization_id = %s")
        outcome = self.attempt(counted.format(sql.Identifier(*table.name.split("."))), [self.attacker])
        return int(outcome.value or 0)

    def may(self, table: Table, right: str) -> bool:
        """Whether the role holds a right on the whole table or on one of its columns."""
        row = self.conn.execute("select has_any_column_privilege(%s, %s)", [table.name, right]).fetchone()
        self.conn.rollback()
        return bool(row and row[0])
