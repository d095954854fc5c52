"""Run every test, from nothing, on real servers that the run starts itself. Arguments go to pytest.

For example: mts test tests/api -x    mts test -k invoice    mts test -n 0 --pdb
"""

import argparse
import os
import sys

from settings import ROOT, Settings

PASSES_ARGUMENTS = True
MOST_PROCESSES = 8


def configure(parser: argparse.ArgumentParser) -> None:
    """Everything is pytest's."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run(args: argparse.Namespace) -> int:
    """Become pytest, with one process for each processor unless the arguments say otherwise."""
    os.chdir(ROOT)
    command = [sys.executable, "-P", "-m", "pytest", *_processes(args.rest), *args.rest]
    os.execve(sys.executable, command, _environment())


def _processes(arguments: list[str]) -> list[str]:
    chosen = any(argument.startswith(("-n", "--numprocesses", "--pdb")) for argument in arguments)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # A module keeps to one process: what it starts once (a database, a whole product) is then started once.
    return [] if chosen else ["-n", str(max(2, min(MOST_PROCESSES, available))), "--dist", "loadscope"]


def _environment() -> dict[str, str]:
    """The caller's environment without this product's settings: tests never touch a server they did not start."""
    ours = {name.upper() for name in Settings.model_fields} | {"ADMIN_DATABASE_URL"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "PYTHONPATH": str(ROOT)}
