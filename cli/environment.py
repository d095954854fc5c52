"""The settings of a command that works on a running installation: the environment's, else those of a live `mts dev`."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cli.errors import CommandError
from cli.instance import Instance, live_instance
from settings import ROOT, Settings

SUPERUSER = "superuser"
ROLES = ("app_api", "app_worker", "app_migrator", "app_auditor", "app_exporter", SUPERUSER)


def resolve(role: str) -> Settings:
    """The settings of a process that works as `role` (such as "app_worker").

    Raises CommandError when no installation is known, SettingsError when its settings are wrong.
    """
    return Settings.from_env({**_environment(role), "DATABASE_URL": database_url(role)})


def database_url(role: str) -> str:
    """The connection URL of `role`: DATABASE_URL when it logs in as that role, else the live `mts dev`'s.

    Raises CommandError when neither is there.
    """
    given = os.environ.get("DATABASE_URL", "")
    if given and _user(given) == role:
        return given
    instance = running_instance()
    if instance is not None:
        return instance.database_urls[role]
    if given and role == SUPERUSER and _user(given) not in ROLES:
        return given
    if given:
        raise CommandError(
            f"DATABASE_URL logs in as {_user(given) or 'nobody'}, and this needs {role}. "
            f"Set DATABASE_URL to the URL of {role}, or start `./mts dev`.",
            2,
        )
    raise CommandError(_nothing_runs(), 2)


def running_instance() -> Instance | None:
    """The live `mts dev` of this DATA_DIR."""
    return live_instance(data_dir(os.environ))


def data_dir(environment: Mapping[str, str]) -> Path:
    """DATA_DIR, absolute."""
    return Path(environment.get("DATA_DIR") or ROOT / ".data").expanduser().absolute()


def _environment(role: str) -> dict[str, str]:
    given = {name: value for name, value in os.environ.items() if value}
    instance = None if _user(given.get("DATABASE_URL", "")) == role else running_instance()
    return {**(instance.environment if instance else {}), **given}


def _user(url: str) -> str:
    return unquote(urlsplit(url).username or "")


def _nothing_runs() -> str:
    folder = data_dir(os.environ)
    if (folder / "secrets.json").exists():
        return f"`mts dev` does not run on {folder}. Start it with `./mts dev`, or set DATABASE_URL."
    return "Nothing runs here yet. Start `./mts dev` in another terminal, or set DATABASE_URL."
