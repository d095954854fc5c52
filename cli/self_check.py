"""What `serve` and `worker` ask themselves before they start: is this role bound by row security on every table?"""

import asyncio
import contextlib
import time

from cli.errors import CommandError
from db import checks
from db.errors import Unavailable
from db.pool import Database
from settings import Settings

PATIENCE_SECONDS = 30


def refuse_unsafe_start(settings: Settings) -> None:
    """Return when it is safe to start; waits for a Postgres that is still starting.

    Raises CommandError with the reason when row security would not hold, or when Postgres does not come up.
    """
    try:
        asyncio.run(_examine(settings))
    except checks.UnsafeRole as error:
        raise CommandError(f"Refusing to start: {error}") from None
    except Unavailable as error:
        raise CommandError(f"Postgres does not answer: {error.message}. Start it, or correct DATABASE_URL.") from None


async def _examine(settings: Settings) -> None:
    await _examine_at(settings.database_url.get_secret_value(), settings)
    if settings.replica_url is not None:
        with contextlib.suppress(Unavailable):  # one that is away is examined by the API when it comes
            await _examine_at(settings.replica_url.get_secret_value(), settings, patience_seconds=0)


async def _examine_at(url: str, settings: Settings, patience_seconds: float = PATIENCE_SECONDS) -> None:
    database = await Database.open(
        url, 1, "mts self-check", statement_cache_size=settings.database_statement_cache
    )  # fmt: skip
    deadline = time.monotonic() + patience_seconds
    try:
        while True:
            try:
                async with database.resolver(read_only=True) as conn:
                    return await checks.refuse_unsafe(conn)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.5)
    finally:
        await database.close()
