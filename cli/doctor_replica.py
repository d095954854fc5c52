"""What `mts doctor` says of the read replica: there, a standby of our primary, how far behind, and as safe as that."""

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from cli.findings import Finding
from db import checks
from db.errors import Unavailable
from db.pool import Database
from db.standby import GONE, LOOK
from db.statements import load
from jobs.resources import Resources

queries = load("replica")

LOOK_SECONDS = 0.05


async def replica(resources: Resources) -> AsyncIterator[Finding]:
    """One line when there is none, or nothing to compare it with; else a line for each check."""
    given = resources.settings.replica_url
    if given is None:
        yield Finding(None, "Replica", "none: the primary answers every read")
        return
    try:
        async with resources.database.resolver(read_only=True) as conn:
            system: int = await queries.system(conn)
    except Unavailable:
        yield Finding(None, "Replica", "not looked at: there is no primary to compare it with")
        return
    url = given.get_secret_value()
    address = urlsplit(url).netloc.rpartition("@")[2]
    cache = resources.settings.database_statement_cache
    standby = await Database.open(url, 1, "mts doctor", statement_cache_size=cache, patience=LOOK)
    try:
        async for finding in _examine(resources, standby, address, system):
            yield finding
    except GONE:
        advice = "the primary answers every read. Start it, or correct REPLICA_URL."
        yield Finding(False, "Replica", f"does not answer at {address}: {advice}")
    finally:
        standby.cut()


async def _examine(resources: Resources, standby: Database, address: str, system: int) -> AsyncIterator[Finding]:
    async with standby.resolver(read_only=True) as conn:
        role, version = await conn.fetchrow("select current_user, current_setting('server_version')")
        follows, found = await queries.replayed(conn) is not None, await queries.system(conn)
        verdicts = await checks.verdicts(conn)
    if not follows:
        yield Finding(False, "Replica", f"{address} is no standby: correct REPLICA_URL, nobody reads there.")
        return
    if found != system:
        yield Finding(False, "Replica", f"{address} is a standby of another server: correct REPLICA_URL.")
        return
    yield Finding(True, "Replica", f"{version} at {address}, a standby of the primary, answers to {role}")
    yield await _lag(resources, standby)
    for verdict in verdicts:
        yield Finding(verdict.ok, "Replica", verdict.reason)


async def _lag(resources: Resources, standby: Database) -> Finding:
    """How long the standby takes to come as far as the primary is now; REPLICA_LAG_SECONDS are waited for."""
    async with resources.database.statement() as conn:
        written: int = await queries.written(conn)
    began, bound = time.monotonic(), resources.settings.replica_lag_seconds
    while (missing := written - await _replayed(standby)) > 0:
        if time.monotonic() - began > bound:
            sentence = f"is more than {bound} s behind, by {missing} bytes: nobody reads there until it catches up."
            return Finding(False, "Replica", sentence)
        await asyncio.sleep(LOOK_SECONDS)
    return Finding(True, "Replica", f"has come as far as the primary within {time.monotonic() - began:.1f} s")


async def _replayed(standby: Database) -> int:
    async with standby.statement() as conn:
        reached: int | None = await queries.replayed(conn)
    return reached or 0
