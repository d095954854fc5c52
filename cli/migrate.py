"""Bring the database up to date, take migrations back, or tell where it stands. Two runs at once wait for each other.

Works as app_migrator: DATABASE_URL, or the live `mts dev`. With ADMIN_DATABASE_URL (a superuser's) and the passwords
APP_MIGRATOR_PASSWORD, APP_API_PASSWORD, APP_WORKER_PASSWORD, APP_AUDITOR_PASSWORD and APP_EXPORTER_PASSWORD, `up` and
`bootstrap` first make the roles and the database; this is harmless to repeat.
"""

import argparse
import os
from urllib.parse import unquote, urlsplit

import psycopg

from cli.environment import database_url
from cli.errors import CommandError
from db import migrate
from db.bootstrap import LOGIN_ROLES, bootstrap, role_url

DATABASE = "mts"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare up, down, status and bootstrap; `up` when nothing is said."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("action", nargs="?", default="up", choices=("up", "down", "status", "bootstrap"))
    parser.add_argument("--steps", type=int, default=1, help="down: how many migrations to take back (default 1)")


def run(args: argparse.Namespace) -> int:
    """Do one action; `status` answers 1 when migrations are missing."""
    try:
        return {"up": _up, "down": _down, "status": _status, "bootstrap": _bootstrap}[args.action](args)
    except migrate.MigrationError as error:
        raise CommandError(str(error)) from error
    except psycopg.Error as error:
        raise CommandError(f"The database refuses: {str(error).strip() or type(error).__name__}") from error


def _up(args: argparse.Namespace) -> int:
    if os.environ.get("ADMIN_DATABASE_URL"):
        _bootstrap(args)
    applied = migrate.up(_url())
    for migration in applied:
        print(f"applied {migration}")
    print(f"{len(applied)} applied; the database is up to date.")
    return 0


def _down(args: argparse.Namespace) -> int:
    if args.steps < 1:
        raise CommandError("--steps must be 1 or more.", 2)
    for migration in migrate.down(_url(), args.steps):
        print(f"taken back {migration}")
    return 0


def _status(args: argparse.Namespace) -> int:
    states = migrate.status(_url())
    for state in states:
        print(f"{'✓' if state.is_applied else '·'} {state.id}")
    missing = sum(not state.is_applied for state in states)
    print(f"{missing} to apply: run `mts migrate up`." if missing else "Up to date.")
    return 1 if missing else 0


def _bootstrap(args: argparse.Namespace) -> int:
    admin_url = os.environ.get("ADMIN_DATABASE_URL")
    if not admin_url:
        raise CommandError("ADMIN_DATABASE_URL is not set. Expected: the connection URL of a superuser.", 2)
    passwords = {role: _password(role) for role in LOGIN_ROLES}
    database = _database(admin_url)
    bootstrap(admin_url, database, passwords)
    print(f"The roles and the database `{database}` are there.")
    return 0


def _url() -> str:
    """The migrator's URL: DATABASE_URL, else made from ADMIN_DATABASE_URL, else the live `mts dev`'s."""
    admin_url = os.environ.get("ADMIN_DATABASE_URL")
    if admin_url and not os.environ.get("DATABASE_URL"):
        return role_url(admin_url, _database(admin_url), "app_migrator", _password("app_migrator"))
    return database_url("app_migrator")


def _database(admin_url: str) -> str:
    """The database's name: that of DATABASE_URL, else of the superuser's URL unless that is the maintenance one."""
    for url in (os.environ.get("DATABASE_URL", ""), admin_url):
        name = unquote(urlsplit(url).path.strip("/"))
        if name not in ("", "postgres"):
            return name
    return DATABASE


def _password(role: str) -> str:
    name = f"{role.upper()}_PASSWORD"
    value = os.environ.get(name)
    if not value:
        raise CommandError(f"{name} is not set. Expected: the password that {role} shall have.", 2)
    return value
