"""Keys are refused the moment they end; rate and quota are exact for all processes together."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import redis

from db import keys, last_use, usage
from db.errors import TooMany, Unauthorized
from db.limits import Limits
from db.pool import Database
from db.types import SYSTEM, ApiKeyId, OrganizationId, new_id, system_clock
from db.usage import UsageRecord, UsageRecorder
from tests.founding import found, new_key
from tests.servers import Urls


async def _revoke(database: Database, organization_id: OrganizationId, key_id: ApiKeyId, limits: Limits) -> None:
    async with database.tenant(organization_id, SYSTEM) as tenant:
        await keys.revoke(tenant, key_id, datetime.now(UTC))
    await limits.bump(organization_id)


async def test_a_key_is_resolved_to_its_organization_with_its_limits(database: Database, limits: Limits) -> None:
    founded = await found(database, "starter")
    new = await new_key(database, founded)
    admission = await limits.admit(new.secret)
    assert admission.key.organization_id == founded.organization_id
    assert admission.refusal is None
    headers = dict(admission.headers)
    assert headers[b"x-ratelimit-limit"] == b"60"
    assert headers[b"x-ratelimit-remaining"] == b"59"
    assert b'"month"' not in headers[b"ratelimit"]


@pytest.mark.parametrize(
    "presented", ["", "sk_live_", "sk_live_" + "g" * 64, "sk_live_" + "a" * 63, "sk_live_" + "é" * 64, "x" * 9999]
)
async def test_a_key_of_wrong_shape_is_refused_without_a_query(limits: Limits, presented: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        await limits.admit(presented)
    assert refused.value.code == "INVALID_API_KEY"


async def test_unknown_revoked_and_expired_keys_are_refused_alike(database: Database, limits: Limits) -> None:
    founded = await found(database)
    revoked = await new_key(database, founded)
    expired = await new_key(database, founded, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await _revoke(database, founded.organization_id, revoked.key.id, limits)
    texts = set()
    for secret in ("sk_live_" + "0" * 64, revoked.secret, expired.secret):
        with pytest.raises(Unauthorized) as refused:
            await limits.admit(secret)
        texts.add(str(refused.value))
    assert len(texts) == 1


async def test_a_revoked_key_is_refused_by_every_process(database: Database, limits: Limits, elsewhere: Limits) -> None:
    founded = await found(database, "pro")
    for _ in range(20):
        new = await new_key(database, founded)
        await asyncio.gather(limits.admit(new.secret), elsewhere.admit(new.secret))
        await _revoke(database, founded.organization_id, new.key.id, limits)
        for process in (limits, elsewhere):
            with pytest.raises(Unauthorized):
                await process.admit(new.secret)


async def test_a_plan_change_reaches_every_process(database: Database, limits: Limits, elsewhere: Limits) -> None:
    founded = await found(database, "free")
    new = await new_key(database, founded)
    assert (await elsewhere.admit(new.secret)).key.per_minute == 10
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        await tenant.conn.execute(
            "update tenancy.organizations set plan = 'pro' where organization_id = $1", founded.organization_id
        )
    await limits.bump(founded.organization_id, recount=True)
    assert (await elsewhere.admit(new.secret)).key.per_minute == 300


async def test_the_minute_is_exact_over_processes(database: Database, limits: Limits, elsewhere: Limits) -> None:
    founded = await found(database, "starter")
    new = await new_key(database, founded)
    answers = await asyncio.gather(*((limits if n % 2 else elsewhere).admit(new.secret) for n in range(150)))
    allowed = [answer for answer in answers if answer.refusal is None]
    assert len(allowed) == 60
    refused = next(answer.refusal for answer in answers if answer.refusal is not None)
    assert isinstance(refused, TooMany)
    assert (refused.code, refused.details["limit"]) == ("RATE_LIMIT_EXCEEDED", 60)
    assert refused.retry_after >= 1


async def test_the_free_months_quota_is_exact_and_survives_the_loss_of_redis(
    database: Database, limits: Limits, elsewhere: Limits, stored: redis.Redis
) -> None:
    founded = await found(database, "free")
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        await tenant.conn.execute(
            "update tenancy.organizations set rate_limit_override = 1000000 where organization_id = $1",
            founded.organization_id,
        )
    new = await new_key(database, founded)
    recorder = UsageRecorder(database)
    records = [_record(founded.organization_id, new.key.id) for _ in range(990)]
    await asyncio.gather(*(recorder.record(record) for record in records))
    answers = await asyncio.gather(*((limits if n % 2 else elsewhere).admit(new.secret) for n in range(40)))
    assert sum(answer.refusal is None for answer in answers) == 10
    stored.flushdb()
    await asyncio.gather(*(recorder.record(_record(founded.organization_id, new.key.id)) for _ in range(10)))
    with pytest.raises(TooMany) as refused:
        raise (await elsewhere.admit(new.secret)).refusal or AssertionError("one too many")
    assert refused.value.code == "QUOTA_EXCEEDED"


async def test_records_are_written_once_and_for_their_own_organization_only(database: Database) -> None:
    mine, other = await found(database), await found(database)
    new = await new_key(database, mine)
    recorder = UsageRecorder(database)
    record = _record(mine.organization_id, new.key.id)
    await asyncio.gather(recorder.record(record), recorder.record(record))
    month = datetime.now(UTC).strftime("%Y-%m")
    assert await usage.count_month(database, mine.organization_id, month) == 1
    with pytest.raises(RuntimeError):
        await recorder.record(_record(other.organization_id, new.key.id))
    assert await usage.count_month(database, other.organization_id, month) == 0


def _record(organization_id: OrganizationId, key_id: ApiKeyId) -> UsageRecord:
    return UsageRecord(
        new_id(),
        organization_id,
        key_id,
        "free",
        "/api/v1/messages/send",
        "POST",
        200,
        1000,
        True,
        datetime.now(UTC),
    )


async def test_the_last_use_of_a_key_is_written_in_a_batch(database: Database, redis_url: str) -> None:
    founded = await found(database)
    new = await new_key(database, founded)
    process = Limits(database, redis_url, system_clock)
    await asyncio.gather(*(process.admit(new.secret) for _ in range(5)))
    await process.close()
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        listed, _ = await keys.page(tenant, 1, 10)
    used = listed[0].last_used_at
    assert used is not None
    assert used.second == 0
    assert datetime.now(UTC) - used < timedelta(minutes=2)


async def test_a_long_writing_of_last_uses_is_followed_by_a_longer_rest(
    database: Database, urls: Urls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_use, "FLUSH_SECONDS", 0.05)
    founded = await found(database)
    first, second = [(await new_key(database, founded)).key.id for _ in range(2)]
    noted = last_use.LastUse(database, system_clock)
    owner = await asyncpg.connect(urls.superuser)
    async with owner.transaction():  # who holds the row makes the writing take long
        await owner.execute("select from tenancy.api_keys where id = $1 for update", first)
        noted.note(founded.organization_id, first)
        await asyncio.sleep(0.5)
    while await _unused(owner, first):  # noqa: ASYNC110 - a row tells no event
        await asyncio.sleep(0.01)
    noted.note(founded.organization_id, second)
    await asyncio.sleep(1)
    assert await _unused(owner, second), "it rests for nine seconds"
    await noted.close()
    assert not await _unused(owner, second), "closing does not wait for that"
    await owner.close()


async def _unused(conn: "asyncpg.Connection[asyncpg.Record]", key_id: ApiKeyId) -> bool:
    never: bool = await conn.fetchval("select last_used_at is null from tenancy.api_keys where id = $1", key_id)
    return never


async def test_two_processes_that_write_the_last_use_of_the_same_keys_do_not_lock_each_other_out(
    database: Database,
) -> None:
    founded = await found(database, "pro")
    made = [(await new_key(database, founded)).key.id for _ in range(20)]
    now = datetime.now(UTC)

    async def write(ids: list[ApiKeyId], minute: int) -> None:
        async with database.tenant(founded.organization_id, SYSTEM) as tenant:
            await keys.touch(tenant, {key_id: now + timedelta(minutes=minute) for key_id in ids})

    for minute in range(0, 200, 4):
        await asyncio.gather(*(write(made if n % 2 else made[::-1], minute + n) for n in range(4)))
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        listed, _ = await keys.page(tenant, 1, 30)
    assert {key.last_used_at for key in listed} == {now + timedelta(minutes=199)}, "the latest of them"
