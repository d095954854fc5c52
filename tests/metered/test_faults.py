"""Redis killed, stopped, back; Postgres away, stopped, back; a server killed at full load: bounded and reconciled."""

import asyncio
import secrets
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest

from db import keys, usage
from db.counters import OPEN_SECONDS
from db.errors import TooMany, Unauthorized, Unavailable
from db.last_use import LastUse
from db.limits import Limits
from db.patience import PATIENT
from db.pool import Database
from db.types import SYSTEM, system_clock
from db.usage import UsageRecorder
from tests.founding import found, new_key
from tests.metered.served import Load, environment, request, served
from tests.metered.trouble import BOUND, back, door, own, own_urls, pair, record, revoke, stopped, timed
from tests.servers import TestServers, Urls

__all__ = ["door", "own", "own_urls", "pair"]


async def test_without_redis_keys_are_read_from_postgres_and_nobody_trusts_memory(
    own: TestServers, door: Database, pair: tuple[Limits, Limits]
) -> None:
    here, there = pair
    founded = await found(door, "free")
    kept, ended = await new_key(door, founded), await new_key(door, founded)
    for process in pair:
        for new in (kept, ended):
            await process.admit(new.secret)
    own.valkey.kill()
    assert await timed(here, kept.secret) < BOUND
    await revoke(door, founded, ended, here)
    for process in pair:
        with pytest.raises(Unauthorized):
            await process.admit(ended.secret)
    taken = [(await there.admit(kept.secret)).refusal for _ in range(6)]
    assert taken[:5] == [None] * 5, "the plan's ten a minute, divided by two processes"
    assert isinstance(taken[5], TooMany)
    own.valkey.start()
    for process in pair:
        await back(process)
        with pytest.raises(Unauthorized):
            await process.admit(ended.secret)


async def test_a_redis_that_does_not_answer_costs_one_wait_a_second(
    own: TestServers, door: Database, pair: tuple[Limits, Limits], capfd: pytest.CaptureFixture[str]
) -> None:
    here, _ = pair
    founded = await found(door, "pro")
    new = await new_key(door, founded)
    await here.admit(new.secret)
    capfd.readouterr()
    with stopped(own.valkey.pid):
        first = await timed(here, new.secret)
        assert 0.2 <= first < BOUND
        begin = time.monotonic()
        several = [await timed(here, new.secret) for _ in range(10)]
        if time.monotonic() - begin < OPEN_SECONDS:
            assert max(several) < 0.2 + BOUND / 4, "the circuit is open: nobody waits for Redis"
        at_once = await asyncio.gather(*(timed(here, new.secret) for _ in range(20)))
        assert max(at_once) < BOUND * 2
    await back(here)
    assert capfd.readouterr().out.count("redis.away") == 1
    assert await timed(here, new.secret) < BOUND


async def test_a_change_made_while_redis_was_stopped_is_made_up_for(
    own: TestServers, door: Database, pair: tuple[Limits, Limits]
) -> None:
    """The process that used the key was idle all the while: it did not notice that Redis was away."""
    here, idle = pair
    founded = await found(door, "pro")
    new = await new_key(door, founded)
    await idle.admit(new.secret)
    with stopped(own.valkey.pid):
        await revoke(door, founded, new, here)
    await asyncio.sleep(0.5)
    with pytest.raises(Unauthorized):
        await idle.admit(new.secret)


async def test_the_quota_is_counted_from_postgres_while_redis_is_away_and_when_it_is_back(
    own: TestServers, door: Database, pair: tuple[Limits, Limits], own_urls: Urls
) -> None:
    here, there = pair
    founded = await found(door, "free")
    new = await new_key(door, founded)
    with psycopg.connect(own_urls.superuser) as conn:
        conn.execute("update tenancy.organizations set rate_limit_override = 100000")
    recorder = UsageRecorder(door)
    await asyncio.gather(*(recorder.record(record(founded, new)) for _ in range(995)))
    own.valkey.kill()
    for _ in range(3):
        assert (await here.admit(new.secret)).refusal is None
        await recorder.record(record(founded, new))
    shutil.rmtree(own.folder / "valkey" / "appendonlydir", ignore_errors=True)
    own.valkey.start()
    for process in pair:
        await back(process)
    answers = await asyncio.gather(*((here if n % 2 else there).admit(new.secret) for n in range(12)))
    assert sum(answer.refusal is None for answer in answers) == 2


async def test_without_postgres_a_request_is_refused_at_once_and_the_next_ones_work_when_it_is_back(
    own: TestServers, own_urls: Urls
) -> None:
    door = await Database.open(own_urls.api, 4, "tests")
    founded = await found(door, "free")
    new = await new_key(door, founded)
    recorder = UsageRecorder(door)
    own.postgres.stop()
    begin = time.monotonic()
    answers = await asyncio.gather(*(recorder.record(record(founded, new)) for _ in range(50)), return_exceptions=True)
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert time.monotonic() - begin < BOUND * 2
    own.postgres.start()
    await recorder.record(record(founded, new))
    assert await usage.count_month(door, founded.organization_id, datetime.now(UTC).strftime("%Y-%m")) == 1
    await door.close()


async def test_the_last_use_of_a_key_waits_for_postgres_to_come_back(own: TestServers, own_urls: Urls) -> None:
    door = await Database.open(own_urls.api, 4, "tests")
    founded = await found(door, "pro")
    used = [(await new_key(door, founded)).key.id for _ in range(2)]
    last_use = LastUse(door, system_clock)
    last_use.note(founded.organization_id, used[0])
    own.postgres.stop()
    await last_use.flush()
    own.postgres.start()
    last_use.note(founded.organization_id, used[1])
    await last_use.close()
    async with door.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        listed, _ = await keys.page(tenant, 1, 10)
    assert all(key.last_used_at is not None for key in listed)
    await door.close()


async def test_a_postgres_that_does_not_answer_is_not_waited_for_without_end(own: TestServers, own_urls: Urls) -> None:
    door = await Database.open(own_urls.api, 4, "tests")
    founded = await found(door, "free")
    new = await new_key(door, founded)
    recorder = UsageRecorder(door)
    await recorder.record(record(founded, new))
    with stopped(*_postgres(own)):
        begin = time.monotonic()
        with pytest.raises(Unavailable):
            await recorder.record(record(founded, new))
        assert time.monotonic() - begin < usage.SECONDS + 6
    await recorder.record(record(founded, new))
    await door.close()


async def test_a_transaction_on_a_postgres_that_stopped_is_given_up_within_seconds(
    own: TestServers, own_urls: Urls
) -> None:
    door = await Database.open(own_urls.api, 4, "tests")
    founded = await found(door, "free")
    with stopped(*_postgres(own)):
        begin = time.monotonic()
        with pytest.raises(Unavailable):
            async with door.tenant(founded.organization_id, SYSTEM):
                pass
        assert time.monotonic() - begin < 2 * PATIENT.begin + 3
    async with door.tenant(founded.organization_id, SYSTEM) as tenant:
        assert await tenant.conn.fetchval("select 1") == 1
    await door.close()


def _postgres(own: TestServers) -> list[int]:
    """The postmaster and all of its children."""
    postmaster = own.postgres.pid
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return [postmaster, *map(int, children)]


async def test_one_record_that_cannot_be_written_takes_no_other_with_it(door: Database) -> None:
    mine, other = await found(door), await found(door)
    good, foreign = await new_key(door, mine), await new_key(door, other)
    recorder = UsageRecorder(door)
    entries = [record(mine, good) for _ in range(20)]
    entries[7] = record(mine, foreign)
    answers = await asyncio.gather(*(recorder.record(entry) for entry in entries), return_exceptions=True)
    assert [n for n, answer in enumerate(answers) if answer is not None] == [7]
    month = datetime.now(UTC).strftime("%Y-%m")
    assert await usage.count_month(door, mine.organization_id, month) == 19


@pytest.mark.slow
async def test_a_server_killed_at_full_load_has_recorded_what_it_answered_and_at_most_what_was_in_flight(
    own: TestServers, door: Database, own_urls: Urls, pair: tuple[Limits, Limits]
) -> None:
    founded = await found(door, "pro")
    new = await new_key(door, founded)
    with psycopg.connect(own_urls.superuser) as conn:
        conn.execute("update tenancy.organizations set rate_limit_override = 10000000")
    before, in_flight = 0, 24
    asked = request("GET", f"/api/v1/messages/msg_{secrets.token_hex(16)}", {"X-API-Key": new.secret})
    for _ in range(4):
        with served(environment(own_urls.api, own.redis_url("0"), WORKERS="2")) as server:
            load = Load(server.port, asked, in_flight)
            running = asyncio.create_task(load.run())
            await load.reaches(1500)
            server.kill()
            await running
        with psycopg.connect(own_urls.superuser) as conn:
            counted = "select count(*) from usage.usage_records where organization_id = %s"
            recorded = (conn.execute(counted, [founded.organization_id]).fetchone() or (0,))[0] - before
        assert set(load.answers) == {404}
        assert load.answered <= recorded <= load.answered + in_flight
        before += recorded


async def test_readiness_says_degraded_and_metrics_count_while_redis_is_away(
    own: TestServers, door: Database, own_urls: Urls, pair: tuple[Limits, Limits]
) -> None:
    founded = await found(door, "pro")
    new = await new_key(door, founded)
    stores = environment(own_urls.api, own.redis_url("0"))
    with served(stores) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=30, headers={"X-API-Key": new.secret}) as client:
            assert (await client.get("/readyz")).json() == {"status": "ready", "reasons": []}
            with stopped(own.valkey.pid):
                assert (await client.get("/api/v1/messages")).status_code == 200
                assert (await client.get("/readyz")).json()["status"] == "degraded"
                metrics = (await client.get("/metrics")).text
            assert "redis_failures_total 1.0" in metrics
            assert "usage_group_records_count 1.0" in metrics
            with stopped(*_postgres(own)):
                refused = await client.get("/api/v1/messages")
                assert (refused.status_code, refused.json()["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
            deadline = time.monotonic() + 10
            while (await client.get("/api/v1/messages")).status_code != 200:
                assert time.monotonic() < deadline
