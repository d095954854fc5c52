"""Measure one thing on servers that the run starts itself, as ratios within one run; without a name, list them.

For example: mts bench probing --tries 500
"""

import argparse
import os
import re
import sys
from pathlib import Path

from cli.errors import CommandError
from settings import ROOT, Settings

PASSES_ARGUMENTS = True
FOLDER = ROOT / "tests" / "bench"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the name; everything unknown is the measurement's."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", nargs="?", help="what to measure")


def run(args: argparse.Namespace) -> int:
    """Become the measurement. Raises CommandError when there is none of this name."""
    found = measurements()
    if args.name is None:
        print("\n".join(f"{name:<14} {_purpose(path)}" for name, path in found.items()))
    elif args.name not in found:
        raise CommandError(f"There is no measurement {args.name!r}, only {', '.join(found)}.", 2)
    else:
        os.chdir(ROOT)
        command = [sys.executable, "-P", "-m", f"tests.bench.{found[args.name].stem}", *args.rest]
        os.execve(sys.executable, command, _environment())
    return 0


def measurements() -> dict[str, Path]:
    """Every measurement by name: the modules of tests/bench that can be run by themselves."""
    paths = sorted(FOLDER.glob("[a-z]*.py"))
    return {path.stem.replace("_", "-"): path for path in paths if "__main__" in path.read_text(encoding="utf-8")}


def _purpose(path: Path) -> str:
    """The first sentence of a module."""
    words = re.match(r'"""(.*?)["\n]', path.read_text(encoding="utf-8"))
    return words[1] if words else ""


def _environment() -> dict[str, str]:
    """The caller's environment without this product's settings: a measurement never touches a server of others."""
    ours = {name.upper() for name in Settings.model_fields} | {"ADMIN_DATABASE_URL"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "PYTHONPATH": str(ROOT)}
