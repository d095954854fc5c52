"""What a prepared statement gives: its columns, their types, and which of them the catalog knows never to be null.

libpq's description says from which column of which table a value comes. It is never null when that column is NOT NULL
and its table stands on no side of an outer join that may be missing. An expression may be null unless its form says
otherwise: count(…), exists(…), a constant, coalesce(…, a constant).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from pglast import ast, parse_sql
from pglast.enums import JoinType, SubLinkType

CATALOG = """
select format_type(%s, null), coalesce((select a.attnotnull and c.relkind in ('r', 'p')
    from pg_attribute a join pg_class c on c.oid = a.attrelid where a.attrelid = %s and a.attnum = %s), false),
    (select format('%%s.%%s', c.relnamespace::regnamespace, c.relname) from pg_class c where c.oid = %s)
"""
AGGREGATES = {"count", "sum", "max", "min", "bool_and", "bool_or", "string_agg", "array_agg"}
NEVER_NULL_FUNCTIONS = {"count", "row_number"}


@dataclass(frozen=True)
class Column:
    """One column of a result."""

    name: str
    type: str
    is_nullable: bool


def describe(conn: psycopg.Connection, sql: str) -> list[Column]:
    """The columns of a statement with `$1` parameters, as the server prepares it."""
    prepared = conn.pgconn.prepare(b"", sql.encode())
    assert not prepared.error_message, prepared.error_message
    result, tree = conn.pgconn.describe_prepared(b""), parse_sql(sql)[0].stmt
    missing, sure = set(_may_be_missing(tree)), _sure(tree)
    found = []
    for number in range(result.nfields):
        values = [result.ftype(number), result.ftable(number), result.ftablecol(number), result.ftable(number)]
        type_, is_not_null, table = conn.execute(CATALOG, values).fetchone() or ("", False, None)
        is_sure = number in sure or (is_not_null and table not in missing)
        found.append(Column((result.fname(number) or b"").decode(), type_, not is_sure))
    return found


def always_gives_a_row(sql: str) -> bool:
    """Whether a statement without GROUP BY sums something up, reads no table at all, or inserts what it is given."""
    tree = parse_sql(sql)[0].stmt
    if isinstance(tree, ast.InsertStmt):
        return bool(tree.selectStmt.valuesLists) and tree.onConflictClause is None
    if not isinstance(tree, ast.SelectStmt) or tree.groupClause or tree.havingClause:
        return False
    is_bare = not tree.fromClause and not tree.whereClause
    return is_bare or all(_is_sum(target.val) for target in tree.targetList or ())


def _is_sum(node: Any) -> bool:
    """Whether an expression is an aggregate, or made of one."""
    return any(call.funcname[-1].sval in AGGREGATES for call in _nodes(node, ast.FuncCall))


def _nodes(node: Any, kind: type) -> Iterator[Any]:
    if isinstance(node, kind):
        yield node
    if isinstance(node, (tuple, list)):
        for item in node:
            yield from _nodes(item, kind)
    elif isinstance(node, ast.Node):
        for name in node:
            yield from _nodes(getattr(node, name), kind)


def _may_be_missing(tree: Any) -> Iterator[str]:
    """Tables on a side of an outer join that may have no row."""
    for join in _nodes(tree, ast.JoinExpr):
        sides = []
        if join.jointype in (JoinType.JOIN_LEFT, JoinType.JOIN_FULL):
            sides.append(join.rarg)
        if join.jointype in (JoinType.JOIN_RIGHT, JoinType.JOIN_FULL):
            sides.append(join.larg)
        for table in _nodes(sides, ast.RangeVar):
            yield f"{table.schemaname}.{table.relname}"


def _sure(tree: Any) -> set[int]:
    """The places of expressions whose form rules a null out."""
    targets = getattr(tree, "targetList", None) if isinstance(tree, ast.SelectStmt) else None
    if not targets or any(_nodes(targets, ast.A_Star)):
        return set()
    return {number for number, target in enumerate(targets) if _is_sure(target.val)}


def _is_sure(node: Any) -> bool:
    if isinstance(node, ast.TypeCast):
        return _is_sure(node.arg)
    if isinstance(node, ast.CoalesceExpr):
        return _is_sure(node.args[-1])
    if isinstance(node, ast.BoolExpr):
        return all(_is_sure(part) for part in node.args)
    if isinstance(node, ast.A_Expr) and node.lexpr is not None:
        return node.name[0].sval in "+-" and _is_sure(node.lexpr) and _is_sure(node.rexpr)
    return _is_sure_leaf(node)


def _is_sure_leaf(node: Any) -> bool:
    if isinstance(node, ast.SubLink):
        return node.subLinkType == SubLinkType.EXISTS_SUBLINK or _is_scalar_sum(node.subselect)
    if isinstance(node, ast.FuncCall):
        return node.funcname[-1].sval in NEVER_NULL_FUNCTIONS
    return isinstance(node, ast.NullTest) or (isinstance(node, ast.A_Const) and not node.isnull)


def _is_scalar_sum(select: Any) -> bool:
    """`(select count(*) from …)`: one row whatever there is."""
    return (
        not select.groupClause
        and len(select.targetList) == 1
        and _is_sure(select.targetList[0].val)
        and _is_sum(select.targetList[0].val)
    )
