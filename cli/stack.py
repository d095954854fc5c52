"""The servers behind `mts dev`: embedded unless the environment names others; and the settings that lead to them."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg

from cli.embedded import EmbeddedPostgres, EmbeddedValkey
from cli.embedded.ports import remembered_port
from cli.embedded.server import EmbeddedServer
from cli.environment import SUPERUSER
from cli.errors import CommandError
from cli.secrets import role_passwords
from cli.terminal import step
from db import migrate
from db.bootstrap import bootstrap, role_url, with_database

DATABASE = "mts"
DEFAULT_PORTS = {"redis": 6379, "rediss": 6379, "smtp": 25, "smtp+starttls": 587, "smtps": 465}
REACH_SECONDS = 5


@dataclass
class Stores:
    """Postgres and Redis of one instance; `servers` are those that we started ourselves."""

    database: str
    urls: dict[str, str]
    redis_url: str
    servers: list[EmbeddedServer] = field(default_factory=list)

    def stop(self) -> None:
        """Stop our own servers, the last started first."""
        for server in reversed(self.servers):
            server.stop()


def open_stores(given: Mapping[str, str], data_dir: Path, known: Mapping[str, str]) -> Stores:
    """Start or find both stores, make the roles and bring the schema up to date.

    Raises CommandError with a sentence when a store cannot be used.
    """
    _require_answers(given)
    stores = Stores(DATABASE, {}, given.get("REDIS_URL", ""))
    try:
        admin_url = given.get("DATABASE_URL") or _start_postgres(stores, data_dir)
        if not stores.redis_url:
            _start_valkey(stores, data_dir)
        _prepare_database(stores, admin_url, role_passwords(dict(known)))
    except BaseException:
        stores.stop()
        raise
    return stores


@dataclass(frozen=True)
class Sandbox:
    """Where the local mail catcher and the payment and SMS sandboxes listen, and the variables that tell them so."""

    url: str
    smtp_url: str
    environment: dict[str, str]

    @property
    def urls(self) -> dict[str, str]:
        """The address of each part."""
        parts = ("mail", "stripe", "paystack", "twilio")
        return {"index": f"{self.url}/"} | {part: f"{self.url}/{part}" for part in parts}


def plan_sandbox(data_dir: Path, known: Mapping[str, str], webhook_base: str) -> Sandbox:
    """Choose the sandbox's ports (kept between runs) and hand it the keys that our clients will show."""
    folder = data_dir / "sandbox"
    folder.mkdir(exist_ok=True)
    http, smtp = remembered_port(folder / "http.port"), remembered_port(folder / "smtp.port")
    environment = {
        "SANDBOX_HTTP_PORT": str(http),
        "SANDBOX_SMTP_PORT": str(smtp),
        "SANDBOX_DATA_DIR": str(folder),
        "SANDBOX_STRIPE_KEY": known["stripe_secret_key"],
        "SANDBOX_STRIPE_WEBHOOK_SECRET": known["stripe_webhook_secret"],
        "SANDBOX_PAYSTACK_KEY": known["paystack_secret_key"],
        "SANDBOX_TWILIO_SID": known["twilio_account_sid"],
        "SANDBOX_TWILIO_TOKEN": known["twilio_auth_token"],
        "SANDBOX_WEBHOOK_BASE": webhook_base,
    }
    return Sandbox(f"http://127.0.0.1:{http}", f"smtp://127.0.0.1:{smtp}", environment)


def provider_settings(given: Mapping[str, str], known: Mapping[str, str], sandbox: Sandbox) -> dict[str, str]:
    """The settings of mail, payments and SMS: what is given stays, what is not leads to the sandbox."""
    settings = {"SMTP_URL": given.get("SMTP_URL", sandbox.smtp_url)}
    local = {
        "STRIPE_SECRET_KEY": ("stripe_secret_key", "stripe_webhook_secret"),
        "PAYSTACK_SECRET_KEY": ("paystack_secret_key",),
        "TWILIO_ACCOUNT_SID": ("twilio_account_sid", "twilio_auth_token"),
    }
    for decisive, names in local.items():
        if decisive not in given:
            provider = decisive.partition("_")[0]
            settings |= {name.upper(): known[name] for name in names}
            settings[f"{provider}_API_BASE"] = given.get(f"{provider}_API_BASE", sandbox.urls[provider.lower()])
    return settings


def _require_answers(given: Mapping[str, str]) -> None:
    """Given servers must be there. (Postgres is asked for more than a connection, when its roles are made.)"""
    for name in ("REDIS_URL", "SMTP_URL"):
        if name in given:
            parts = urlsplit(given[name])
            port = parts.port or DEFAULT_PORTS[parts.scheme]
            try:
                socket.create_connection((parts.hostname or "localhost", port), timeout=REACH_SECONDS).close()
            except OSError as error:
                at = f"{name}: nothing answers at {parts.hostname}:{port} ({error.strerror or error})."
                raise CommandError(f"{at} Start that server, or unset {name} to use an embedded one.") from None


def _start_postgres(stores: Stores, data_dir: Path) -> str:
    server = EmbeddedPostgres(data_dir / "postgres")
    with step("PostgreSQL") as told:
        server.start()
        told.note = f"127.0.0.1:{server.port}, data in {server.data_dir.name}/"
    stores.servers.append(server)
    return server.superuser_url()


def _start_valkey(stores: Stores, data_dir: Path) -> None:
    server = EmbeddedValkey(data_dir / "valkey")
    with step("Valkey") as told:
        server.start()
        told.note = f"127.0.0.1:{server.port}, data in {server.data_dir.name}/"
    stores.servers.append(server)
    stores.redis_url = server.url


def _prepare_database(stores: Stores, admin_url: str, passwords: Mapping[str, str]) -> None:
    named = unquote(urlsplit(admin_url).path.strip("/"))
    stores.database = named if named not in ("", "postgres") else DATABASE
    with step("Database") as told:
        try:
            bootstrap(with_database(admin_url, "postgres"), stores.database, passwords)
            applied = migrate.up(role_url(admin_url, stores.database, "app_migrator", passwords["app_migrator"]))
        except psycopg.Error as error:
            raise CommandError(_trouble(admin_url, error)) from error
        except migrate.MigrationError as error:
            raise CommandError(f"The database cannot be brought up to date. {error}") from error
        done = f"{len(applied)} migrations applied" if applied else "up to date"
        told.note = f"`{stores.database}`, roles ready, {done}"
    stores.urls = {role: role_url(admin_url, stores.database, role, password) for role, password in passwords.items()}
    stores.urls[SUPERUSER] = with_database(admin_url, stores.database)


def _trouble(admin_url: str, error: psycopg.Error) -> str:
    address = urlsplit(admin_url)
    return (
        f"The database at {address.hostname}:{address.port or 5432} cannot be prepared as {address.username}: "
        f"{str(error).strip() or type(error).__name__}\n"
        "`mts dev` makes its roles itself: DATABASE_URL must be the URL of a superuser."
    )
