"""Keys are found once however many ask; unknown ones cost next to nothing; late fills never undo a revocation."""

import asyncio
import gc
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis

from db import key_cache, keys
from db.counters import Counters
from db.errors import Unauthorized
from db.key_cache import Entry
from db.key_digest import KeyDigest
from db.limits import Limits
from db.pool import Database
from db.resolution import Resolution
from db.types import SYSTEM, system_clock
from tests.founding import found, new_key
from tests.metered.watched import Watched, process, refused, revoke, watched
from tests.servers import Urls
from tests.visitors import TurnableClock

__all__ = ["process", "watched"]


async def test_a_flood_of_one_unknown_key_costs_one_statement(process: Limits, watched: Watched) -> None:
    await asyncio.gather(*(refused(process, "sk_live_" + "0" * 64) for _ in range(500)))
    for _ in range(500):
        await refused(process, "sk_live_" + "0" * 64)
    assert watched.uses == 1


async def test_a_flood_of_random_keys_asks_in_groups_and_leaves_the_cache_alone(
    database: Database, process: Limits, watched: Watched
) -> None:
    founded = await found(database, "pro")
    new = await new_key(database, founded)
    await process.ping()  # what is read while the first connection is made is not kept
    await process.admit(new.secret)
    before = watched.uses
    await asyncio.gather(*(refused(process, f"sk_live_{number:064x}") for number in range(2000)))
    assert watched.uses - before <= 20
    before = watched.uses
    await process.admit(new.secret)
    assert watched.uses == before, "a known key was pushed out by unknown ones"


async def test_the_list_of_unknown_keys_is_bounded() -> None:
    cache = key_cache.KeyCache()
    for number in range(key_cache.UNKNOWN_CAPACITY + 100):
        cache.put_unknown(number.to_bytes(32), 1.0)
    assert not cache.is_unknown((0).to_bytes(32), 2.0)
    assert cache.is_unknown((key_cache.UNKNOWN_CAPACITY + 99).to_bytes(32), 2.0)
    assert not cache.is_unknown((key_cache.UNKNOWN_CAPACITY + 99).to_bytes(32), 1.0 + key_cache.UNKNOWN_SECONDS)


async def test_an_expired_key_costs_nothing_more_and_takes_nothing_from_the_quota(
    database: Database, watched: Watched, redis_url: str, stored: redis.Redis
) -> None:
    founded = await found(database, "free")
    clock = TurnableClock()
    process = Limits(watched, redis_url, clock)
    new = await new_key(database, founded, expires_at=datetime.now(UTC) + timedelta(minutes=5))
    first = await process.admit(new.secret)
    clock.turn(minutes=6)
    before = watched.uses
    for _ in range(20):
        await refused(process, new.secret)
    assert watched.uses == before
    assert first.taken_from is not None
    assert stored.hget(f"quota:{{{founded.organization_id}}}:{first.taken_from[0]}", "used") == "1"
    await process.close()


async def test_many_requests_at_once_fill_once(database: Database, process: Limits, watched: Watched) -> None:
    founded = await found(database, "pro")
    new = await new_key(database, founded)
    await asyncio.gather(*(process.admit(new.secret) for _ in range(100)))
    assert watched.uses == 2, "one look into the directory, one transaction for the row"


async def test_a_key_that_is_created_is_no_longer_unknown(database: Database, process: Limits) -> None:
    founded = await found(database, "pro")
    digest = KeyDigest()
    late = "sk_live_" + uuid4().hex * 2
    await refused(process, late)
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        made = await keys.create(tenant, name="k", created_by=founded.user_id, now=datetime.now(UTC))
        await tenant.conn.execute("select identity.forget_key($1)", made.key.id)
        await tenant.conn.execute("select identity.register_key($1, $2)", digest(late), made.key.id)
    await refused(process, late)
    process.created(late)
    assert (await process.admit(late)).refusal is None


async def test_memory_holds_no_key(database: Database, process: Limits) -> None:
    founded = await found(database, "pro")
    new = await new_key(database, founded)
    secret = new.secret
    del new
    await process.admit(secret)
    gc.collect()
    holders = [each for each in gc.get_referrers(secret) if isinstance(each, dict | list | tuple | set)]
    ours = locals()
    assert [holder for holder in holders if holder is not ours and secret in _strings(holder)] == []
    assert secret not in repr(process._resolution.cache._entries)


def _strings(holder: Any) -> list[str]:
    values = holder.values() if isinstance(holder, dict) else holder
    return [value for value in values if isinstance(value, str)]


async def test_a_pepper_makes_a_stolen_directory_useless(database: Database, redis_url: str) -> None:
    founded = await found(database, "pro")
    peppered, other = KeyDigest("p" * 32), KeyDigest("q" * 32)
    new = await new_key(database, founded, digest=peppered)
    process, wrong, plain = (Limits(database, redis_url, system_clock, 1, d) for d in (peppered, other, KeyDigest()))
    assert (await process.admit(new.secret)).key.api_key_id == new.key.id
    for each in (wrong, plain):
        await refused(each, new.secret)
    for each in (process, wrong, plain):
        await each.close()


async def test_the_grace_of_a_rotation_never_outlives_the_expiry(database: Database, process: Limits) -> None:
    founded = await found(database, "pro")
    now = datetime.now(UTC)
    new = await new_key(database, founded)
    for lives, grace in ((timedelta(hours=1), timedelta(days=7)), (timedelta(days=30), timedelta(hours=2))):
        old = await new_key(database, founded, expires_at=now + lives)
        async with database.tenant(founded.organization_id, SYSTEM) as tenant:
            new = await keys.rotate(tenant, old.key.id, founded.user_id, now, grace)
        await process.bump(founded.organization_id)
        assert (await process.admit(old.secret)).key.expires_at == now + min(lives, grace)
        assert (await process.admit(new.secret)).key.expires_at == now + lives

    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        last = await keys.rotate(tenant, new.key.id, founded.user_id, now, timedelta(0))
    await process.bump(founded.organization_id)
    await refused(process, new.secret)
    assert (await process.admit(last.secret)).refusal is None


async def test_expired_keys_do_not_count_against_the_plans_limit(database: Database) -> None:
    founded = await found(database, "free")
    now = datetime.now(UTC)
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        allowed = await tenant.conn.fetchval(
            "select max_api_keys from billing.price_on('free', $1)", now.date()
        )  # fmt: skip
    for _ in range(allowed):
        await new_key(database, founded, expires_at=now - timedelta(seconds=1))
    made = await asyncio.gather(*(new_key(database, founded) for _ in range(allowed + 3)), return_exceptions=True)
    assert sum(isinstance(each, keys.NewKey) for each in made) == allowed


async def _revoke_during_a_fill(
    database: Database, watched: Watched, process: Limits, elsewhere: Limits
) -> tuple[keys.NewKey, asyncio.Task[Any]]:
    """`process` has read the row of a key and not come back with it when the key is revoked elsewhere."""
    founded = await found(database, "pro")
    new = await new_key(database, founded)
    watched.reached, watched.may_leave = asyncio.Event(), asyncio.Event()
    filling = asyncio.create_task(process.admit(new.secret))
    await watched.reached.wait()
    await revoke(database, founded, new, elsewhere)
    watched.may_leave.set()
    return new, filling


async def test_a_fill_that_comes_back_after_the_revocation_is_not_believed(
    database: Database, watched: Watched, process: Limits, elsewhere: Limits
) -> None:
    new, filling = await _revoke_during_a_fill(database, watched, process, elsewhere)
    with pytest.raises(Unauthorized):
        await filling
    await refused(process, new.secret)


class RowBeforeEpoch(Resolution):
    """The mistake that the test above is there for."""

    async def _read(self, digest: bytes, counters: Counters) -> Entry | None:
        found = await self._lookups.find(digest)
        assert found is not None
        key = await keys.resolve(self._database, found, self._clock.now())
        assert key is not None
        epoch = (await counters.run("admit", [f"{n}:{{{found.organization_id}}}" for n in ("epoch", "r", "q")],
                                    ["", "0", "-1"]))[1]  # fmt: skip
        entry = Entry(key, epoch, time.monotonic())
        self.cache.put(digest, entry, self.cache.generation)
        return entry


async def test_the_other_order_would_let_a_revoked_key_in(
    database: Database, watched: Watched, process: Limits, elsewhere: Limits
) -> None:
    process._resolution = RowBeforeEpoch(watched, system_clock)
    new, filling = await _revoke_during_a_fill(database, watched, process, elsewhere)
    assert (await filling).refusal is None
    assert (await process.admit(new.secret)).refusal is None


async def test_what_was_committed_and_never_announced_is_seen_within_a_minute(
    database: Database, process: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process killed between its commit and its bump."""
    founded = await found(database, "pro")
    new = await new_key(database, founded)
    monkeypatch.setattr("db.resolution.ENTRY_SECONDS", 0.3)
    await process.admit(new.secret)
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        await keys.revoke(tenant, new.key.id, datetime.now(UTC))
    await asyncio.sleep(0.31)
    await refused(process, new.secret)


async def test_a_suspended_organization_is_told_so_and_keeps_its_quota(
    database: Database, process: Limits, urls: Urls, stored: redis.Redis
) -> None:
    founded = await found(database, "free")
    new = await new_key(database, founded)
    with psycopg.connect(urls.superuser) as conn:
        suspend = "update identity.organization_directory set status = 'suspended' where organization_id = %s"
        conn.execute(suspend, [founded.organization_id])
    await process.bump(founded.organization_id)
    admission = await process.admit(new.secret)
    assert admission.refusal is not None
    assert admission.refusal.code == "ORGANIZATION_SUSPENDED"
    assert admission.taken_from is not None
    await process.give_back(admission)
    month = f"quota:{{{founded.organization_id}}}:{admission.taken_from[0]}"
    assert stored.hget(month, "used") == "0"
