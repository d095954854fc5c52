"""The table of sub-commands: each is one module, imported only when it is asked for."""

import argparse
import importlib
import keyword
import os
import sys
from dataclasses import dataclass
from typing import Protocol

from cli.errors import CommandError


class Module(Protocol):
    """What the module of a sub-command offers; its docstring is its help text.

    A module with `PASSES_ARGUMENTS = True` gets what it did not declare as `args.rest`.
    """

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare the sub-command's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; the answer is the exit code."""


@dataclass(frozen=True)
class Command:
    """One sub-command: its name and the line it has in `mts --help`."""

    name: str
    summary: str

    @property
    def module(self) -> str:
        """The module that holds it."""
        name = self.name.replace("-", "_")
        return f"cli.{name}_" if keyword.iskeyword(name) else f"cli.{name}"


GROUPS: dict[str, tuple[Command, ...]] = {
    "Try it": (
        Command("dev", "run everything here: servers, API, worker, mail catcher, payment sandboxes"),
        Command("tour", "walk the main job on an installation of its own, printing requests and answers"),
        Command("demo", "fill two organizations with lively data"),
    ),
    "Work on it": (
        Command("test", "run every test on real servers that the run starts itself"),
        Command("lint", "check style, types, import directions and SQL"),
        Command("bench", "measure speed, as ratios within one run"),
    ),
    "Run it": (
        Command("serve", "serve the API and the dashboard (needs the settings in the environment)"),
        Command("worker", "work off jobs and keep the schedule"),
        Command("migrate", "up, down, status or bootstrap of the database"),
        Command("close-month", "close the books of a month for every organization now"),
        Command("invoices", "release, void or credit invoices, and reconcile the books"),
    ),
    "One organization": (
        Command("suspend", "refuse everything of one organization from now on"),
        Command("resume", "let it in again"),
        Command("export", "write one organization into a file"),
        Command("import", "bring such a file into an empty installation"),
        Command("erase", "delete one organization for good"),
    ),
    "Look into it": (
        Command("doctor", "check settings, connections, roles and row security, and say what to do"),
        Command("psql", "open psql as one of the roles, or print its URL"),
        Command("email", "write every kind of mail to files, with made-up contents"),
        Command("jobs", "list, show, retry, cancel or watch background jobs"),
    ),
}
COMMANDS = {command.name: command for group in GROUPS.values() for command in group}


def main(arguments: list[str]) -> int:
    """Run one sub-command; returns the exit code (2 for wrong usage or settings)."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if arguments else 2
    try:
        return _run(arguments[0], arguments[1:])
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.code
    except _settings_error() as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output (`head`, a pager) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _settings_error() -> type[Exception]:
    """Looked up only when something was raised: `--help` must not load the settings' library."""
    from settings import SettingsError

    return SettingsError


def overview() -> str:
    """The text of `mts --help`."""
    lines = ["usage: mts COMMAND [arguments]", "", "A multi-tenant API platform on Postgres row-level security.", ""]
    for title, commands in GROUPS.items():
        lines += [title, *(f"  {command.name:<12} {command.summary}" for command in commands), ""]
    return "\n".join([*lines, "`mts COMMAND --help` says more. New here? Start with `mts dev`."])


def _run(name: str, arguments: list[str]) -> int:
    if name not in COMMANDS:
        raise CommandError(f"mts: there is no command {name!r}. `mts --help` lists them.", 2)
    module = _load(COMMANDS[name])
    parser = argparse.ArgumentParser(f"mts {name}", description=module.__doc__, allow_abbrev=False)
    module.configure(parser)
    args, rest = parser.parse_known_args(arguments)
    if rest and not getattr(module, "PASSES_ARGUMENTS", False):
        parser.error(f"unknown arguments: {' '.join(rest)}")
    args.rest = rest
    return module.run(args)


def _load(command: Command) -> Module:
    try:
        module: Module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        if error.name != command.module:
            raise
        raise CommandError(f"mts {command.name} is not part of this installation.") from None
    return module
