"""Notes what the world was told: worth some patience, since without the note the world is told again."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from db.errors import Unavailable

PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.25
log = structlog.get_logger()


async def insist(write: Callable[[], Awaitable[None]]) -> None:
    """Do a write that may be repeated, again while Postgres is away. Raises Unavailable after half a minute."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_SECONDS
    while True:
        try:
            await write()
        except Unavailable:
            if loop.time() > deadline:
                raise
            log.info("outcome.not_noted_yet")
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return
