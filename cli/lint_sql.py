"""Every statement under sql/ is parsed by Postgres's own grammar, explained by a sentence and written in lower case."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pglast import parse_sql
from pglast.parser import ParseError, scan

from settings import ROOT

NAME = re.compile(r"^--\s*name:\s*(?P<name>\w+)", re.MULTILINE)
PARAMETER = re.compile(r"(?<![:\w]):(?P<name>[a-z_]\w*)")


@dataclass(frozen=True)
class Statement:
    """One named statement of a file in sql/queries, with the comment lines that belong to it."""

    file: Path
    line: int
    name: str
    explained: bool
    sql: str


def main() -> int:
    """Print every finding as `file:line: sentence`; returns 1 when there is one."""
    findings = list(inspect(ROOT / "sql"))
    print("\n".join(findings))
    return 1 if findings else 0


def inspect(folder: Path) -> Iterator[str]:
    """Findings in `folder`/queries and `folder`/migrations; an empty folder is one too."""
    queries, migrations = sorted((folder / "queries").glob("*.sql")), sorted((folder / "migrations").glob("*.sql"))
    if not queries or not migrations:
        yield f"{folder}: no statements or no migrations found"
    for file in queries:
        for statement in statements(file):
            yield from _statement_findings(statement)
    for file in migrations:
        yield from _migration_findings(file)


def statements(file: Path) -> Iterator[Statement]:
    """The named statements of one file, in order."""
    text = file.read_text()
    names = list(NAME.finditer(text))
    ends = [match.start() for match in names[1:]] + [len(text)]
    for match, end in zip(names, ends, strict=True):
        before, body = text[: match.start()], text[text.index("\n", match.start()) : end]
        explained = _is_comment(before.rstrip("\n").rpartition("\n")[2]) or _is_comment(body.strip().partition("\n")[0])
        yield Statement(file, before.count("\n") + 1, match["name"], explained, body)


def _is_comment(line: str) -> bool:
    return line.startswith("--") and len(line.strip("- ")) > 0


def _statement_findings(statement: Statement) -> Iterator[str]:
    where = f"{statement.file}:{statement.line}: {statement.name}"
    if not statement.explained:
        yield f"{where} has no sentence saying what it returns"
    sql = _with_positions(statement.sql)
    try:
        parsed = parse_sql(sql)
    except ParseError as error:
        yield f"{where} is not SQL: {error}"
        return
    if len(parsed) != 1:
        yield f"{where} holds {len(parsed)} statements instead of one"
    if loud := _upper_case_keywords(sql):
        yield f"{where} writes keywords in upper case: {', '.join(loud)}"


def _with_positions(sql: str) -> str:
    """Named parameters as `$1`, `$2` …; one inside a string or a comment changes nothing that matters here."""
    numbers: dict[str, int] = {}
    return PARAMETER.sub(lambda match: f"${numbers.setdefault(match['name'], len(numbers) + 1)}", sql)


def _upper_case_keywords(sql: str) -> list[str]:
    words = (sql[token.start : token.end + 1] for token in scan(sql) if token.kind != "NO_KEYWORD")
    return sorted({word for word in words if not word.islower()})


def _migration_findings(file: Path) -> Iterator[str]:
    try:
        parse_sql(file.read_text())
    except ParseError as error:
        yield f"{file}: is not SQL: {error}"
    if not file.name.endswith(".rollback.sql") and not file.with_suffix(".rollback.sql").exists():
        yield f"{file}: has no rollback beside it"


if __name__ == "__main__":
    sys.exit(main())
