"""What `mts dev` prints: one line a step while it starts, prefixed lines of its processes afterwards."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_turn = threading.Lock()


class Step:
    """One line of the start; `note` is what it tells when done."""

    note = ""


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Print a line when the block is done, and on a terminal also while it works."""
    begin = time.monotonic()
    if sys.stdout.isatty():
        print(f"  … {title}", end="\r", flush=True)
    told = Step()
    try:
        yield told
    except BaseException:
        print(f"  ✗ {title}", flush=True)
        raise
    print(f"  ✓ {title:<12} {told.note:<58} {time.monotonic() - begin:5.1f} s", flush=True)


def readable(line: str) -> str:
    """A JSON log line as `time level event field=value …`; any other line as it is."""
    try:
        fields = json.loads(line) if line.startswith("{") else None
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        return line
    begin = [str(fields.pop("at", ""))[11:23], str(fields.pop("level", "")), str(fields.pop("event", ""))]
    stack = fields.pop("stack", None)
    told = [*filter(None, begin), *(f"{name}={value}" for name, value in fields.items())]
    return " ".join(told) + (f"\n{stack}" if stack else "")


def say(name: str, line: str) -> None:
    """Print one line of a process, or about it, behind its name."""
    with _turn:
        for part in line.splitlines() or [""]:
            print(f"{name:<10} │ {part}", flush=True)
