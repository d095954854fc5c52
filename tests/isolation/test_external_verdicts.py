"""What public linters and a prover say of the migrated schema; every waiver is in pgrls.toml with its reason."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from settings import ROOT
from tests.servers import TestServers, Urls
from tests.sql.test_binding import ROW_VARIABLE

SCHEMAS = "tenancy,usage,billing,messaging,audit"
CONFIG = Path(__file__).with_name("pgrls.toml")


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a linter of this environment and keep what it prints."""
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=110, cwd=ROOT)


def pgrls(verb: str, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pgrls over the tenant schemas."""
    return run("pgrls", verb, "--database-url", url, "--schemas", SCHEMAS, "--config", str(CONFIG), *arguments)


def test_the_linter_for_row_security_finds_nothing(urls: Urls) -> None:
    verdict = pgrls("lint", urls.auditor)
    assert verdict.returncode == 0, verdict.stdout


@pytest.mark.parametrize("mode", ["anon", "cross-tenant", "write"])
def test_isolation_is_proven_for_every_table(urls: Urls, mode: str) -> None:
    with psycopg.connect(urls.auditor) as conn:
        row = conn.execute("select count(*) from ops.tables where kind = 'tenant'").fetchone()
    assert row
    proof = pgrls("verify", urls.auditor, "--strict", "--auth-function", "app.current_org_id", "--mode", mode)
    assert f"{row[0]} proven isolated, 0 leaking, 0 unverified" in proof.stdout, proof.stdout[-2000:]
    assert proof.returncode == 0


def test_the_prover_finds_a_leak_when_there_is_one(servers: TestServers, worker_name: str) -> None:
    with servers.database(f"prover_{worker_name}") as database:
        servers.execute("drop policy tenant_guard on tenancy.users", database)
        servers.execute("create policy stray on tenancy.users using (true)", database)
        proof = pgrls("verify", servers.urls(database).auditor, "--auth-function", "app.current_org_id")
    assert proof.returncode != 0
    assert "1 leaking" in proof.stdout


def test_functions_with_owners_rights_are_safe_from_their_callers(urls: Urls, tmp_path: Path) -> None:
    with psycopg.connect(urls.superuser) as conn:
        functions = conn.execute(
            "select pg_get_functiondef(p.oid) from pg_proc p join pg_namespace n on n.oid = p.pronamespace "
            "where p.prosecdef and n.nspname not in ('pg_catalog', 'information_schema')"
        ).fetchall()
    file = tmp_path / "functions.sql"
    text = ";\n".join(function[0] for function in functions).replace("CREATE OR REPLACE", "CREATE")
    # A default was resolved when the function was made; this is how Postgres prints it.
    text = text.replace("DEFAULT NULL::text", "DEFAULT NULL")
    file.write_text(ROW_VARIABLE.sub(r"\1 record;", text) + ";\n")
    verdict = run("pgspot", str(file))
    assert "Errors: 0 Warnings: 0 Unknown: 0" in verdict.stdout, verdict.stdout


def test_the_linter_for_migrations_finds_nothing() -> None:
    files = [str(file) for file in sorted((ROOT / "sql" / "migrations").glob("*.sql"))]
    verdict = run("squawk", "--config", str(ROOT / ".squawk.toml"), *files)
    assert verdict.returncode == 0, verdict.stdout
