"""Whether every tenant table in a statement is bound to one organization: by a constant or by a join that leads to one.

The statement is parsed by Postgres's own grammar. Equalities that must hold for a row to count (WHERE, ON, USING) join
`organization_id` of one relation with that of another or with a constant; what is not joined to a constant is reported.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pglast import ast, parse_sql
from pglast.enums import A_Expr_Kind, BoolExprType

COLUMN = "organization_id"
CONSTANT = "(constant)"


@dataclass
class Links:
    """Which places hold the same organization."""

    parents: dict[str, str] = field(default_factory=dict)

    def root(self, place: str) -> str:
        """The place that stands for all places equal to this one."""
        while self.parents.get(place, place) != place:
            place = self.parents[place]
        return place

    def join(self, one: str, other: str) -> None:
        """Both hold the same organization."""
        self.parents[self.root(one)] = self.root(other)


@dataclass
class Scope:
    """The relations that a part of a statement can name: alias → (place, table or None)."""

    outer: "Scope | None" = None
    relations: dict[str, tuple[str, str | None]] = field(default_factory=dict)

    def find(self, alias: str) -> tuple[str, str | None] | None:
        """The relation of this alias here or further out."""
        return self.relations.get(alias) or (self.outer.find(alias) if self.outer else None)


def unbound(sql: str, tenant_tables: set[str], constants: frozenset[str] = frozenset()) -> list[str]:
    """The tenant tables of a statement that no constant binds; `constants` are a function's variables."""
    reader = _Reader(tenant_tables, constants)
    for statement in parse_sql(sql):
        reader.read(statement.stmt, Scope())
    return [table for place, table in reader.used if reader.links.root(place) != reader.links.root(CONSTANT)]


class _Reader:
    def __init__(self, tenant_tables: set[str], constants: frozenset[str]) -> None:
        self.tenant_tables = tenant_tables
        self.constants = constants
        self.links = Links()
        self.used: list[tuple[str, str]] = []
        self.queries: dict[str, str] = {}
        self.places = 0

    def read(self, node: Any, scope: Scope) -> str | None:
        """Read a statement; the place of the organization_id it gives, if it gives one."""
        for common in (getattr(node, "withClause", None) or _nothing).ctes:
            self.queries[common.ctename] = self.read(common.ctequery, scope) or self._place()
        readers = {
            ast.SelectStmt: self._select, ast.InsertStmt: self._insert, ast.UpdateStmt: self._change,
            ast.DeleteStmt: self._change,
        }  # fmt: skip
        reader = readers.get(type(node))
        return reader(node, scope) if reader else None

    def _select(self, node: Any, outer: Scope) -> str | None:
        if node.larg:
            left, right = self.read(node.larg, outer), self.read(node.rarg, outer)
            if left and right:
                self.links.join(left, right)
            return left
        scope = Scope(outer)
        for item in node.fromClause or ():
            self._relation(item, scope)
        self._condition(node.whereClause, scope)
        for part in (node.targetList, node.havingClause, node.sortClause, node.groupClause, node.valuesLists):
            self._inner(part, scope)
        return self._given(node.targetList, scope)

    def _insert(self, node: Any, outer: Scope) -> str | None:
        scope = Scope(outer)
        place = self._relation(node.relation, scope)
        columns = [column.name for column in node.cols or ()]
        if COLUMN in columns and place:
            self._inserted(node.selectStmt, columns.index(COLUMN), place, scope)
        else:
            self.read(node.selectStmt, scope)
        return self._given(node.returningList, scope) or place

    def _inserted(self, source: Any, index: int, place: str, scope: Scope) -> None:
        if source.valuesLists:
            for row in source.valuesLists:
                self._equal(place, self._term(row[index], scope))
                self._inner(row, scope)
            return
        inner = Scope(scope)
        for item in source.fromClause or ():
            self._relation(item, inner)
        self._condition(source.whereClause, inner)
        if source.targetList:
            self._equal(place, self._term(source.targetList[index].val, inner))
            self._inner(source.targetList, inner)

    def _change(self, node: Any, outer: Scope) -> str | None:
        scope = Scope(outer)
        place = self._relation(node.relation, scope)
        for item in (*(getattr(node, "fromClause", None) or ()), *(getattr(node, "usingClause", None) or ())):
            self._relation(item, scope)
        self._condition(node.whereClause, scope)
        self._inner(getattr(node, "targetList", None), scope)
        return self._given(node.returningList, scope) or place

    def _relation(self, item: Any, scope: Scope) -> str | None:
        if isinstance(item, ast.RangeVar):
            return self._table(item, scope)
        if isinstance(item, ast.JoinExpr):
            self._relation(item.larg, scope)
            self._relation(item.rarg, scope)
            self._condition(item.quals, scope)
        elif isinstance(item, ast.RangeSubselect):
            place = self.read(item.subquery, scope) or self._place()
            scope.relations[item.alias.aliasname] = (place, None)
        elif isinstance(item, ast.RangeFunction):
            self._inner(item.functions, scope)
            if item.alias:
                scope.relations[item.alias.aliasname] = (self._place(), None)
        return None

    def _table(self, item: Any, scope: Scope) -> str:
        name = f"{item.schemaname}.{item.relname}" if item.schemaname else item.relname
        alias = item.alias.aliasname if item.alias else item.relname
        if not item.schemaname and item.relname in self.queries:
            scope.relations[alias] = (self.queries[item.relname], None)
            return self.queries[item.relname]
        place, table = self._place(), name if name in self.tenant_tables else None
        scope.relations[alias] = (place, table)
        if table:
            self.used.append((place, table))
        return place

    def _condition(self, node: Any, scope: Scope) -> None:
        if isinstance(node, ast.BoolExpr) and node.boolop == BoolExprType.AND_EXPR:
            for part in node.args:
                self._condition(part, scope)
        elif isinstance(node, ast.A_Expr) and node.kind == A_Expr_Kind.AEXPR_OP and node.name[0].sval == "=":
            self._pairs(node.lexpr, node.rexpr, scope)
            self._inner((node.lexpr, node.rexpr), scope)
        else:
            self._inner(node, scope)

    def _pairs(self, left: Any, right: Any, scope: Scope) -> None:
        if isinstance(left, ast.RowExpr) and isinstance(right, ast.RowExpr):
            for one, other in zip(left.args, right.args, strict=True):
                self._pairs(one, other, scope)
            return
        one, other = self._term(left, scope), self._term(right, scope)
        if one and other:
            self._equal(one, other)

    def _equal(self, one: str, other: str | None) -> None:
        if other:
            self.links.join(one, other)

    def _term(self, node: Any, scope: Scope) -> str | None:
        """The place that an expression reads the organization from, CONSTANT for what does not depend on a row."""
        while isinstance(node, ast.TypeCast):
            node = node.arg
        if isinstance(node, ast.ParamRef) or _is_context(node):
            return CONSTANT
        if not isinstance(node, ast.ColumnRef) or not all(isinstance(part, ast.String) for part in node.fields):
            return None
        names = [part.sval for part in node.fields]
        if names[0] in self.constants:
            return CONSTANT
        if names[-1] != COLUMN:
            return None
        return self._qualified(names[-2], scope) if len(names) > 1 else self._only(scope)

    def _qualified(self, alias: str, scope: Scope) -> str | None:
        found = scope.find(alias)
        return found[0] if found else None

    def _only(self, scope: Scope) -> str | None:
        """`organization_id` alone: the one relation here that has the column."""
        tables = [place for place, table in scope.relations.values() if table]
        places = tables or [place for place, _ in scope.relations.values()]
        return places[0] if len(places) == 1 else None

    def _given(self, targets: Any, scope: Scope) -> str | None:
        for target in targets or ():
            if isinstance(target.val, ast.ColumnRef):
                last = target.val.fields[-1]
                if isinstance(last, ast.A_Star) or (target.name or last.sval) == COLUMN:
                    return self._only(scope) if isinstance(last, ast.A_Star) else self._term(target.val, scope)
        return None

    def _inner(self, node: Any, scope: Scope) -> None:
        """Read the subqueries inside an expression."""
        for select in _selects(node):
            self.read(select, scope)

    def _place(self) -> str:
        self.places += 1
        return f"place {self.places}"


def _is_context(node: Any) -> bool:
    return isinstance(node, ast.FuncCall) and [part.sval for part in node.funcname] == ["app", "current_org_id"]


def _selects(node: Any) -> Iterator[Any]:
    if isinstance(node, ast.SelectStmt):
        yield node
    elif isinstance(node, tuple | list):
        for item in node:
            yield from _selects(item)
    elif isinstance(node, ast.Node):
        for name in node:
            yield from _selects(getattr(node, name))


class _Nothing:
    ctes = ()


_nothing = _Nothing()
