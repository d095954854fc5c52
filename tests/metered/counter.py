"""A worker that does nothing but roll up, hour after hour, until it is killed.

Run as a program with the URL of Postgres and the number of the first hour; it says `ready` and begins at a line.
"""

import asyncio
import sys
from datetime import timedelta

from db import rollups
from db.pool import Database
from tests.metered.counting import HOURS, START


async def main(url: str, first_hour: str) -> None:
    """Roll up everything, then say `done`."""
    worker = await Database.open(url, 2, "counter")
    async with worker.statement() as conn:
        await conn.fetchval("select 1")
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for hour in range(int(first_hour), HOURS + 1):
        await rollups.roll_up(worker, START + timedelta(hours=hour) + rollups.SETTLING)
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
