"""The mistakes that the tests of revocation are there for: `mts serve` that announces a change late, or never.

Run as a program with `late` or `never`.
"""

import asyncio
import sys
from typing import Any

from cli import serve
from db.epochs import Epochs

LATE_SECONDS = 0.1
_bump = Epochs.bump
_later: set[asyncio.Task[None]] = set()


async def _late(self: Epochs, *arguments: Any, **options: Any) -> None:
    """Answer first, tell everybody afterwards."""

    async def tell() -> None:
        await asyncio.sleep(LATE_SECONDS)
        await _bump(self, *arguments, **options)

    task = asyncio.create_task(tell())
    _later.add(task)
    task.add_done_callback(_later.discard)


async def _never(self: Epochs, *arguments: Any, **options: Any) -> None:
    """Tell nobody."""


if __name__ == "__main__":
    Epochs.bump = {"late": _late, "never": _never}[sys.argv[1]]  # type: ignore[method-assign]
    sys.argv[1:] = []
    import argparse

    raise SystemExit(serve.run(argparse.Namespace()))
