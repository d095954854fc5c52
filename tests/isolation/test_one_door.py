"""Nothing in api/, jobs/ and db/ goes past `Database.tenant`: no setting of a session, no other role, no copy."""

import re
from pathlib import Path

import pytest

from settings import ROOT

# They work as psql does, each under a role of its own: export, import and erasure of one organization, migrations.
# Left out too are the sandboxes of the providers, which keep an SQLite of their own.
COMMANDS = {
    "archive.py", "bootstrap.py", "dump.py", "migrate.py", "orphans.py", "organization_erasure.py",
    "organization_export.py", "organization_import.py", "organization_life.py",
}  # fmt: skip
FORBIDDEN = {
    "a setting of the session": re.compile(r"""["'; (]set (?!local\b|transaction\b)(?:session )?[a-z_.]+ *(?:=|to) """),
    "set_config past the transaction": re.compile(r"set_config\([^)]*false\)"),
    "another role": re.compile(r"set (?:local |session )?role|session authorization", re.IGNORECASE),
    "copy": re.compile(r"\.copy_\w+\(|\.copy\("),
    "autocommit": re.compile(r"autocommit"),
    "what outlives a transaction": re.compile(
        r"with hold|pg_(?:try_)?advisory_lock|[\"'; ](?:prepare|listen|discard) \w", re.IGNORECASE
    ),
    "a connection of its own": re.compile(r"(?:asyncpg|psycopg)\.connect\("),
}
DOOR = ROOT / "db" / "pool.py"
FILES = [
    file
    for folder in ("api", "jobs", "db")
    for file in sorted((ROOT / folder).rglob("*.py"))
    if not (folder == "db" and file.name in COMMANDS) and "sandbox" not in file.parts
]


def found(text: str) -> set[str]:
    return {name for name, pattern in FORBIDDEN.items() if pattern.search(text)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_goes_past_the_door(file: Path) -> None:
    allowed = {"a connection of its own"} if file == DOOR else set()
    assert found(file.read_text()) == allowed


@pytest.mark.parametrize("file", sorted((ROOT / "sql" / "queries").glob("*.sql")), ids=lambda file: file.name)
def test_no_statement_outlives_its_transaction(file: Path) -> None:
    assert not FORBIDDEN["what outlives a transaction"].search(file.read_text())


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ('conn.execute("set app.current_org_id = 1")', "a setting of the session"),
        ("select set_config('app.current_org_id', $1, false)", "set_config past the transaction"),
        ('conn.execute("set role app_owner")', "another role"),
        ("conn.copy_records_to_table()", "copy"),
        ("declare mine cursor with hold for select 1", "what outlives a transaction"),
        ("select pg_try_advisory_lock(1)", "what outlives a transaction"),
        ('conn.execute("listen mine")', "what outlives a transaction"),
        ("psycopg.connect(url, autocommit=True)", "autocommit"),
    ],
)
def test_the_check_itself(text: str, finding: str) -> None:
    assert finding in found(text)
