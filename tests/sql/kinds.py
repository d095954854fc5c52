"""What an expression of db/ holds: a row of a statement, several, one value of one, or nothing of that kind."""

import ast
from typing import Any, Protocol

from tests.sql.rows import Findings, Row, Rows, Value


class Module(Protocol):
    """The module that a function is of."""

    subject: str
    queries: Any
    findings: Findings
    functions: dict[str, Any]

    def read(self, name: str, handed: dict[str, Any]) -> Any:
        """Read one of its functions."""


class Kinds(ast.NodeVisitor):
    """The names of one function and what they hold so far."""

    def __init__(self, outer: Module, handed: dict[str, Any]) -> None:
        self.outer, self.names = outer, dict(handed)

    def kind(self, node: ast.AST | None) -> Any:
        """What an expression holds: a row, rows, a value, or None for anything else."""
        if isinstance(node, ast.Await):
            return self._fetched(node.value) if self._statement(node.value) else self.kind(node.value)
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Call):
            return self._called(node)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            row = self.kind(node.value)
            return Value(row.statement, str(node.slice.value)) if isinstance(row, Row) else None
        if isinstance(node, ast.DictComp):
            return self._filtered(node)
        return None

    def _statement(self, node: ast.AST) -> Any:
        """The statement that a call runs."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return getattr(self.outer.queries, node.func.attr) if ast.unparse(node.func.value) == "queries" else None
        return None

    def _name(self, node: ast.AST) -> str:
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Attribute)
        name = f"{self.outer.subject}.{node.func.attr}"
        self.outer.findings.called.add(name)
        return name

    def _fetched(self, node: ast.AST) -> Any:
        operation = self._statement(node).operation.name
        if operation == "SELECT_VALUE":
            return Value(self._name(node), None)
        return Row(self._name(node)) if operation in ("SELECT_ONE", "INSERT_RETURNING") else None

    def _called(self, node: ast.Call) -> Any:
        if self._statement(node):
            return Rows(Row(self._name(node)))
        if isinstance(node.func, ast.Name) and node.func.id == "dict" and node.args:
            return self.kind(node.args[0])
        if isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
            row, column = self.kind(node.func.value), node.args[0]
            if isinstance(row, Row) and isinstance(column, ast.Constant):
                return Value(row.statement, str(column.value), is_asked_for=True)
        if isinstance(node.func, ast.Name) and node.func.id in self.outer.functions:
            return self.outer.read(node.func.id, self._handed(node, self.outer.functions[node.func.id]))
        return None

    def _handed(self, node: ast.Call, callee: Any) -> dict[str, Any]:
        kinds = {each.arg: self.kind(given) for each, given in zip(callee.args.args, node.args, strict=False)}
        return {name: kind for name, kind in kinds.items() if kind is not None}

    def _filtered(self, node: ast.DictComp) -> Any:
        """`{name: value for name, value in row.items() if name != "status"}`."""
        source, row = node.generators[0].iter, None
        if isinstance(source, ast.Call) and isinstance(source.func, ast.Attribute) and source.func.attr == "items":
            row = self.kind(source.func.value)
        left_out = {str(each.value) for test in node.generators[0].ifs for each in ast.walk(test)
                    if isinstance(each, ast.Constant)}  # fmt: skip
        return Row(row.statement, row.without | left_out) if isinstance(row, Row) else None
