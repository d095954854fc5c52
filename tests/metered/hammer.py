"""A process that admits keys as fast as it can, and says of each when an accepted request last began.

Run as a program with the URLs of Postgres and Redis. It reads lines from its input: `keys K1 K2 …` begins, `stop` ends
with one line of JSON: for each key the monotonic time at which its last accepted request began, and their number.
"""

import asyncio
import json
import random
import sys
import time

from db.errors import Unauthorized
from db.limits import Limits
from db.pool import Database
from db.types import system_clock

AT_ONCE = 8


async def main(database_url: str, redis_url: str) -> None:
    """Obey the lines of the input."""
    database = await Database.open(database_url, 4, "hammer")
    limits = Limits(database, redis_url, system_clock)
    await limits.ping()
    print("ready", flush=True)
    while words := (await _line()).split():
        keys = words[1:]
        for key in keys:
            await limits.admit(key)
        print("warm", flush=True)
        print(json.dumps(await _until_stopped(limits, keys)), flush=True)
    await limits.close()
    await database.close()


async def _until_stopped(limits: Limits, keys: list[str]) -> dict[str, tuple[float, int]]:
    last: dict[str, tuple[float, int]] = {}
    stopping = asyncio.create_task(_line())

    async def hammer() -> None:
        while not stopping.done():
            key = random.choice(keys)
            began = time.monotonic()
            try:
                await limits.admit(key)
            except Unauthorized:
                await asyncio.sleep(0)
            else:
                last[key] = (began, last.get(key, (0.0, 0))[1] + 1)

    await asyncio.gather(*(hammer() for _ in range(AT_ONCE)))
    return last


async def _line() -> str:
    return await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
