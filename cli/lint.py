"""`mts lint`: every check that needs no running server, two at a time, one line each."""

import re
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from settings import ROOT

AT_ONCE = 2
COLOURS_AND_LINKS = re.compile(r"\x1b(?:\[[0-9;]*m|\]8;;.*?\x1b\\)")


@dataclass(frozen=True)
class Check:
    """One command that says nothing and ends with 0 when all is well."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How a check ended, after how many seconds, and what it printed."""

    name: str
    passed: bool
    seconds: float
    output: str


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `mts lint`."""
    parser.add_argument("--fix", action="store_true", help="first repair what can be repaired: imports, style, layout")


def run(args: Namespace) -> int:
    """Run all checks and print a line for each; returns 1 when any failed, else 0."""
    started = time.monotonic()
    if args.fix:
        repair()
    outcomes = list(_run_all(checks()))
    failed = sum(not outcome.passed for outcome in outcomes)
    verdict = f"✗ {failed} of {len(outcomes)} checks failed" if failed else f"✓ {len(outcomes)} checks passed"
    print(f"{verdict} in {time.monotonic() - started:.1f} s")
    return 1 if failed else 0


def repair() -> None:
    """Let the formatter and the style checker rewrite what they safely can."""
    for command in ((_tool("ruff"), "check", "--fix", "--exit-zero", "--quiet"), (_tool("ruff"), "format", "--quiet")):
        subprocess.run(command, cwd=ROOT, check=True)


def checks() -> tuple[Check, ...]:
    """The checks, slowest first so that two lanes end together."""
    return (
        Check("types", (_tool("mypy"), "--no-error-summary")),
        Check("imports", (_tool("lint-imports"), "--no-logo", "--no-cache")),
        Check("style", (_tool("ruff"), "check", "--quiet")),
        Check("layout", (_tool("ruff"), "format", "--check", "--quiet")),
        Check("migrations", (_tool("squawk"), *_forward_migrations())),
        Check("statements", (sys.executable, "-m", "cli.lint_sql")),
        Check("text", (sys.executable, "-m", "cli.lint_text")),
    )


def _tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _forward_migrations() -> list[str]:
    files = sorted((ROOT / "sql" / "migrations").glob("*.sql"))
    return [str(file.relative_to(ROOT)) for file in files if not file.name.endswith(".rollback.sql")]


def _run_all(planned: tuple[Check, ...]) -> Iterator[Outcome]:
    width = max(len(check.name) for check in planned)
    with ThreadPoolExecutor(AT_ONCE) as lanes:
        for done in as_completed([lanes.submit(execute, check) for check in planned]):
            outcome = done.result()
            _report(outcome, width)
            yield outcome


def execute(check: Check) -> Outcome:
    """Run one check to its end; a tool that is not installed counts as a failure that says so."""
    started = time.monotonic()
    try:
        ended = subprocess.run(
            check.command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        missing = f"{Path(check.command[0]).name} is not installed here; `./mts lint` installs what the checks need."
        return Outcome(check.name, passed=False, seconds=0.0, output=missing)
    output = COLOURS_AND_LINKS.sub("", ended.stdout + ended.stderr).strip()
    return Outcome(check.name, ended.returncode == 0, time.monotonic() - started, output)


def _report(outcome: Outcome, width: int) -> None:
    print(f"{'✓' if outcome.passed else '✗'} {outcome.name:<{width}} {outcome.seconds:6.1f} s", flush=True)
    for line in outcome.output.splitlines():
        if not outcome.passed or line.startswith("note: "):
            print(f"    {line}", flush=True)
