"""Writes rows as a table for a terminal: columns as wide as they need, no lines, nothing cut."""

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The head and the rows, one a line; a column of figures stands to the right."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [all(_is_figure(cell) for cell in column[1:]) for column in columns]
    return "\n".join(_line(row, widths, right) for row in (head, *rows))


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = [
        cell.rjust(width) if is_right else cell.ljust(width)
        for cell, width, is_right in zip(row, widths, right, strict=True)
    ]
    return "  ".join(cells).rstrip()


def _is_figure(cell: str) -> bool:
    return cell == "" or cell[0].isdigit() or cell[0] in "+-×"
