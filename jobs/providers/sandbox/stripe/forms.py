"""Stripe's request encoding: `a[b][0][c]=v` in a form or a query, read into nested values."""

import re
from collections.abc import Iterable
from typing import Any

KEY = re.compile(r"[^\[\]]+|\[\]")


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The nested dictionaries and lists that the pairs spell; numbers and `[]` are places in a list."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        _plant(tree, KEY.findall(name), value)
    return {name: _listed(branch) for name, branch in tree.items()}


def _plant(tree: dict[str, Any], path: list[str], value: str) -> None:
    branch = tree
    for step in path[:-1]:
        deeper = branch.setdefault(step, {})
        branch = deeper if isinstance(deeper, dict) else {}
    if path:
        last = str(len(branch)) if path[-1] == "[]" else path[-1]
        branch[last] = value


def _listed(branch: Any) -> Any:
    """A dictionary whose keys are all places becomes a list."""
    if not isinstance(branch, dict):
        return branch
    values = {name: _listed(value) for name, value in branch.items()}
    if values and all(name.isdecimal() or name == "[]" for name in values):
        return list(values.values())
    return values
