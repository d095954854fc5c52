"""`mts lint`: what it must find it finds, proven on files that break each rule."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli import lint, lint_sql, lint_text
from settings import ROOT

SENTENCE = "-- The keys of an organization, newest first; keys_pkey carries it.\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty repository."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("https://pypi" + ".org/simple", "registry"),
        ("image: ghcr" + ".io/someone/image", "registry"),
        ("<script src='https://cdn.jsdelivr" + ".net/x.js'>", "registry"),
        ("see /ho" + "me/someone/notes", "path of one machine"),
        ("log = '/tm" + "p/out.log'", "path of one machine"),
        ("/ro" + "ot/.ssh", "path of one machine"),
        ("# TO" + "DO: later", "note for later"),
        ("FIX" + "ME", "note for later"),
    ],
)
def test_a_line_that_must_not_be_there_is_found(repository: Path, line: str, sentence: str) -> None:
    (repository / "notes.txt").write_text(f"fine\n{line}\n")
    assert [finding for finding in lint_text.inspect(repository) if sentence in finding] == list(
        lint_text.inspect(repository)
    )
    assert next(lint_text.inspect(repository)).startswith("notes.txt:2: ")


def test_the_folder_of_the_checkout_is_found(repository: Path) -> None:
    (repository / "lock.txt").write_text(f"# via mts ({repository}/pyproject.toml)\n")
    assert "lock.txt:1: names the folder of this checkout" in list(lint_text.inspect(repository))


def test_ordinary_text_is_left_alone(repository: Path) -> None:
    (repository / "notes.md").write_text("GET /api/v1/homes, /tmp, https://api.stripe.com, a todo list\n")
    (repository / "image.png").write_bytes(b"\0\xffTO" + b"DO")
    (repository / ".gitignore").write_text("ignored.txt\n")
    (repository / "ignored.txt").write_text("TO" + "DO\n")
    assert list(lint_text.inspect(repository)) == []


def test_a_copy_without_git_is_read_too(tmp_path: Path) -> None:
    for name in ("notes.txt", ".venv/lib.txt", ".mypy_cache/x.json", "api/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("TO" + "DO\n")
    found = [finding.partition(":")[0] for finding in lint_text.inspect(tmp_path)]
    assert found == ["api/notes.txt", "notes.txt"]


@pytest.mark.parametrize(("lines", "said"), [(150, []), (151, ["note: "]), (250, ["note: "]), (251, ["long.py"])])
def test_long_files_are_noted_and_longer_ones_refused(repository: Path, lines: int, said: list[str]) -> None:
    (repository / "long.py").write_text("x = 1\n" * lines)
    assert [finding[: len(start)] for finding, start in zip(lint_text.inspect(repository), said, strict=True)] == said


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        (f"-- name: list\n{SENTENCE}select 1 from where", "is not SQL"),
        (f"-- name: list\n{SENTENCE}SELECT 1 From x", "upper case: From, SELECT"),
        (f"-- name: list\n{SENTENCE}select 1; select 2;", "2 statements instead of one"),
        ("-- name: list\nselect 1", "no sentence"),
        (f"{SENTENCE}-- name: one\nselect 1;\n\n-- name: two\nselect 2;", "two has no sentence"),
    ],
)
def test_a_statement_that_breaks_a_rule_is_found(tmp_path: Path, statements: str, sentence: str) -> None:
    _schema(tmp_path, statements)
    findings = list(lint_sql.inspect(tmp_path))
    assert len(findings) == 1
    assert sentence in findings[0]


def test_sound_statements_pass(tmp_path: Path) -> None:
    listed = (
        "-- name: list\n" + SENTENCE + "select id::text, 'A:b' from keys where organization_id = :organization_id;\n"
    )
    _schema(tmp_path, listed + SENTENCE + "-- name: one^\nselect :a::uuid, ':b' as \"When\", :a;\n")
    assert list(lint_sql.inspect(tmp_path)) == []


def test_a_migration_is_parsed_and_has_its_way_back(tmp_path: Path) -> None:
    _schema(tmp_path, f"-- name: list\n{SENTENCE}select 1")
    (tmp_path / "migrations" / "0002.sql").write_text("create tabel x ();")
    found = [finding.partition(": ")[2] for finding in lint_sql.inspect(tmp_path)]
    assert [text.split(":")[0] for text in found] == ["is not SQL", "has no rollback beside it"]


def test_an_empty_folder_does_not_pass_for_a_clean_one(tmp_path: Path) -> None:
    assert "no statements" in next(lint_sql.inspect(tmp_path))


def test_a_check_that_fails_is_shown_with_what_it_said() -> None:
    command = (sys.executable, "-c", "import sys; print('\\x1b[33mwrong\\x1b[0m'); sys.exit(3)")
    outcome = lint.execute(lint.Check("demo", command))
    assert (outcome.passed, outcome.output) == (False, "wrong")
    assert lint.execute(lint.Check("demo", (sys.executable, "-c", ""))).passed


def test_a_check_whose_tool_is_missing_fails_with_a_sentence() -> None:
    outcome = lint.execute(lint.Check("demo", (str(ROOT / "no-such-tool"),)))
    assert not outcome.passed
    assert "no-such-tool is not installed here" in outcome.output


def test_migrations_are_checked_without_their_rollbacks() -> None:
    command = next(check.command for check in lint.checks() if check.name == "migrations")
    assert any("0001" in word for word in command)
    assert not any("rollback" in word for word in command)


def _schema(folder: Path, statements: str) -> None:
    for name in ("queries", "migrations"):
        (folder / name).mkdir()
    (folder / "queries" / "keys.sql").write_text(statements)
    (folder / "migrations" / "0001.sql").write_text("create table x ();")
    (folder / "migrations" / "0001.rollback.sql").write_text("drop table x;")
