"""How long a measuring process was held up from outside, as by SIGSTOP on a shared machine: that is nobody's cost."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

TICK, NOTICED = 0.1, 2.0


@dataclass
class Held:
    """Seconds in which nothing ran, counted by gaps longer than any work of ours."""

    seconds: float = 0.0

    async def watch(self) -> None:
        """Look at the time until cancelled."""
        before = time.perf_counter()
        while True:
            await asyncio.sleep(TICK)
            now = time.perf_counter()
            if now - before > NOTICED:
                self.seconds += now - before - TICK
            before = now


@asynccontextmanager
async def watching() -> AsyncIterator[Held]:
    """Watch for the time of a block."""
    held = Held()
    task = asyncio.create_task(held.watch())
    try:
        yield held
    finally:
        task.cancel()
