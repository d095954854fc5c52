"""Creates the roles and the database of an installation; run by a superuser, harmless to run again."""

from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from settings import ROOT

GRANTS = ROOT / "sql" / "grants"
LOGIN_ROLES = ("app_migrator", "app_api", "app_worker", "app_auditor", "app_exporter")
_BOOTSTRAP_LOCK = 7267000001


def bootstrap(admin_url: str, database: str, passwords: Mapping[str, str]) -> None:
    """Make every role of sql/grants/roles.sql, give those in `passwords` their password, and make the database.

    Passwords travel as SCRAM verifiers, so the server's log never holds one. Two at once wait for each other.
    """
    with psycopg.connect(admin_url, autocommit=True) as conn:
        conn.execute("select pg_advisory_lock(%s)", [_BOOTSTRAP_LOCK])
        with conn.transaction():
            conn.execute((GRANTS / "roles.sql").read_bytes())
            for role, password in passwords.items():
                _set_password(conn, role, password)
        if conn.execute("select 1 from pg_database where datname = %s", [database]).fetchone() is None:
            conn.execute(
                sql.SQL("create database {} template template0 encoding 'UTF8'").format(sql.Identifier(database))
            )
        with psycopg.connect(with_database(admin_url, database), autocommit=True) as inside:
            inside.execute((GRANTS / "database.sql").read_bytes())


def _set_password(conn: psycopg.Connection, role: str, password: str) -> None:
    verifier = conn.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    conn.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(verifier)))


def with_database(url: str, database: str) -> str:
    """The same URL, leading to another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(database)}"))


def role_url(admin_url: str, database: str, role: str, password: str) -> str:
    """The URL under which `role` logs in to `database` on the server of `admin_url`."""
    parts = urlsplit(admin_url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(
        parts._replace(netloc=f"{quote(role)}:{quote(password, safe='')}@{address}", path=f"/{quote(database)}")
    )
