"""What db/ makes of the rows of a statement, read from its source: which column lands in a value of which type."""

import ast
import dataclasses
import importlib
import inspect
import types
from collections.abc import Iterable, Iterator
from typing import Any, NewType, get_args, get_origin, get_type_hints

from settings import ROOT
from tests.sql.kinds import Kinds
from tests.sql.rows import Fetch, Findings, Landing, Row, Rows, Unpacking, Value

# Builtins that a null would break, and what they need.
NEEDING: dict[str, Any] = {"int": int, "tuple": object, "frozenset": object, "list": object, "Decimal": object}


def read(modules: Iterable[types.ModuleType] | None = None) -> Findings:
    """Every module of db/ that has statements, or those given."""
    findings = Findings()
    for module in _modules() if modules is None else modules:
        reader = ModuleReader(module, findings)
        for name in reader.functions:
            reader.read(name, {})
    return findings


def _modules() -> Iterator[types.ModuleType]:
    for path in sorted((ROOT / "db").glob("*.py")):
        module = importlib.import_module(f"db.{path.stem}")
        if hasattr(module, "queries"):
            yield module


class ModuleReader:
    """The functions of one module; each is read again for every kind of row that it is handed."""

    def __init__(self, module: types.ModuleType, findings: Findings) -> None:
        self.module, self.findings, self.queries = module, findings, module.queries
        tree = ast.parse(inspect.getsource(module))
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        self.functions = {node.name: node for node in ast.walk(tree) if isinstance(node, kinds)}
        self.subject = _subject(tree)
        self._known: dict[tuple[str, tuple[tuple[str, Any], ...]], Any] = {}

    def read(self, name: str, handed: dict[str, Any]) -> Any:
        """Read a function whose parameters hold these rows; what it returns, where that is a row."""
        key = (name, tuple(sorted(handed.items(), key=lambda item: item[0])))
        if key not in self._known:
            self._known[key] = None
            reader = FunctionReader(self, self.functions[name], handed)
            reader.visit(self.functions[name])
            self._known[key] = reader.returned
        return self._known[key]

    def looks_at(self, function: ast.AST, name: str) -> bool:
        """Whether a function asks if a name is None, or hands it to one that does."""
        for node in ast.walk(function):
            tests = [node.test] if isinstance(node, (ast.If, ast.IfExp)) else []
            if any(isinstance(each, ast.Name) and each.id == name for test in tests for each in ast.walk(test)):
                return True
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.functions:
                callee = self.functions[node.func.id]
                for parameter, argument in zip(callee.args.args, node.args, strict=False):
                    if isinstance(argument, ast.Name) and argument.id == name and callee is not function:
                        return self.looks_at(callee, parameter.arg)
        return False


class FunctionReader(Kinds):
    """Follows rows through one function, from the top to the bottom."""

    def __init__(self, outer: ModuleReader, function: ast.AST, handed: dict[str, Any]) -> None:
        super().__init__(outer, handed)
        self.module, self.function, self.looks_at = outer.module, function, outer.looks_at
        self.where = f"{outer.module.__name__}.{getattr(function, 'name', '')}"
        self.returned: Any = None

    def visit_Subscript(self, node: ast.Subscript) -> None:  # noqa: N802 - the name that ast looks for
        self.generic_visit(node)
        if isinstance(value := self.kind(node), Value):
            self.outer.findings.reads.add((self.where, value))

    def visit_Assign(self, node: ast.Assign) -> None:  # noqa: N802
        self.generic_visit(node)
        kind, target = self.kind(node.value), node.targets[0]
        if kind is not None and isinstance(target, ast.Name):
            is_checked = self.looks_at(self.function, target.id)
            if isinstance(kind, Value):
                kind = dataclasses.replace(kind, is_checked=is_checked)
            elif self._is_fetched(node.value):
                self.outer.findings.fetches.add(Fetch(self.where, kind.statement, is_checked))
            self.names[target.id] = kind

    def _is_fetched(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Await) and self._statement(node.value) is not None

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:  # noqa: N802
        self.generic_visit(node)
        if node.value is not None and isinstance(node.target, ast.Name):
            annotation = eval(ast.unparse(node.annotation), vars(self.module))  # noqa: S307 - our own source
            self._land(node.value, annotation)
            self.names[node.target.id] = None

    def visit_Return(self, node: ast.Return) -> None:  # noqa: N802
        self.generic_visit(node)
        self._land(node.value, self._hints().get("return"))
        self.returned = self.returned or self.kind(node.value)

    def visit_Yield(self, node: ast.Yield) -> None:  # noqa: N802
        self.generic_visit(node)
        self._land(node.value, (*get_args(self._hints().get("return")), None)[0])

    def _hints(self) -> dict[str, Any]:
        found = getattr(self.module, getattr(self.function, "name", ""), None)
        return get_type_hints(inspect.unwrap(found)) if inspect.isroutine(found) else {}

    def _land(self, node: ast.AST | None, annotation: Any) -> None:
        """Whatever reaches something of a known type."""
        if annotation is None or node is None:
            return
        if isinstance(node, ast.Tuple) and get_origin(annotation) is tuple:
            for part, expected in zip(node.elts, get_args(annotation), strict=False):
                self._land(part, expected)
        elif isinstance(node, ast.ListComp) and get_args(annotation):
            self._bind(node.generators)
            self._land(node.elt, get_args(annotation)[0])
        elif isinstance(node, ast.IfExp):
            self._land(node.body, annotation)
        elif isinstance(value := self.kind(node), Value):
            self.outer.findings.landings.add(Landing(self.where, value, annotation))

    def visit_Call(self, node: ast.Call) -> None:  # noqa: N802
        self.kind(node)
        self.generic_visit(node)
        if isinstance(node.func, ast.Name):
            made = vars(self.module).get(node.func.id)
            if inspect.isclass(made) and dataclasses.is_dataclass(made):
                self._make(node, made)
            elif isinstance(made, NewType) or node.func.id in NEEDING:
                self._land(node.args[0], made if isinstance(made, NewType) else NEEDING[node.func.id])

    def _make(self, node: ast.Call, made: type) -> None:
        fields, hints = [each.name for each in dataclasses.fields(made)], get_type_hints(made)
        named = [(each.arg, each.value) for each in node.keywords if each.arg]
        for name, value in [*zip(fields, node.args, strict=False), *named]:
            self._land(value, hints[name])
        given = {*fields[: len(node.args)], *(name for name, _ in named)}
        for each in node.keywords:
            value, overridden = _parts(each.value)
            if each.arg is None and isinstance(row := self.kind(value), Row):
                self._unpack(Row(row.statement, row.without | overridden), made, given | overridden)
                if self._is_fetched(value):
                    self.outer.findings.fetches.add(Fetch(self.where, row.statement, False))

    def _unpack(self, row: Row, made: type, given: set[str]) -> None:
        self.outer.findings.unpackings.add(Unpacking(self.where, row, made, frozenset(given)))

    def _bind(self, generators: Iterable[ast.comprehension | ast.AsyncFor | ast.For]) -> None:
        for each in generators:
            rows = self.kind(each.iter)
            if isinstance(rows, Rows) and isinstance(each.target, ast.Name):
                self.names[each.target.id] = rows.row

    def _comprehension(self, node: Any) -> None:
        self._bind(node.generators)
        self.generic_visit(node)

    visit_ListComp = visit_GeneratorExp = visit_DictComp = visit_SetComp = _comprehension  # noqa: N815

    def _loop(self, node: Any) -> None:
        self._bind([node])
        self.generic_visit(node)

    visit_For = visit_AsyncFor = _loop  # noqa: N815


def _subject(tree: ast.Module) -> str:
    """The file of `queries = load("accounts")`."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "load"]
    return str(ast.literal_eval(calls[0].args[0]))


def _parts(node: ast.expr) -> tuple[ast.expr, frozenset[str]]:
    """`values | {"status": …}` → (values, {status})."""
    if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Dict):
        return node.left, frozenset(str(key.value) for key in node.right.keys if isinstance(key, ast.Constant))
    return node, frozenset()
