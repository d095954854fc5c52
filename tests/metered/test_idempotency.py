"""A repeated request has one effect and one charge, also when the first answer never left."""

import asyncio
import time
from contextvars import Context
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from db import idempotency
from db.errors import Conflict, Unprocessable
from db.pool import Database
from db.types import SYSTEM, new_id
from db.usage import UsageRecord, UsageRecorder
from tests.founding import Founded, found, new_key

NOW = datetime.now(UTC)
BODY, OTHER = b"b" * 32, b"o" * 32


async def _answer(
    database: Database, founded: Founded, key: str, *, secret: bool = False, now: datetime = NOW, request: bytes = BODY
) -> tuple[idempotency.Stored | None, UUID]:
    record_id = new_id()
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        claim = idempotency.Claim(founded.user_id, key, request, record_id)
        stored = await idempotency.find(tenant, claim, now)
        if stored is None:
            await idempotency.store(tenant, claim, 200, b'{"first":true}', now, secret=secret)
    return stored, record_id


async def test_a_repeat_gets_the_first_answer_and_another_body_is_refused(database: Database) -> None:
    founded = await found(database)
    assert (await _answer(database, founded, "k"))[0] is None
    again, _ = await _answer(database, founded, "k")
    assert again is not None
    assert again.answer == b'{"first":true}'
    with pytest.raises(Unprocessable):
        await _answer(database, founded, "k", request=OTHER)


async def test_concurrent_twins_have_one_effect(database: Database) -> None:
    founded = await found(database)
    answers = await asyncio.gather(*(_answer(database, founded, "twin") for _ in range(8)))
    assert [stored for stored, _ in answers].count(None) == 1


async def test_a_twin_that_is_still_in_flight_is_waited_for_and_then_refused(database: Database) -> None:
    founded = await found(database)
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        claim = idempotency.Claim(founded.user_id, "slow", BODY, new_id())
        assert await idempotency.find(tenant, claim, NOW) is None
        begin = time.monotonic()
        with pytest.raises(Conflict) as refused:
            await asyncio.create_task(_answer(database, founded, "slow"), context=Context())
        assert refused.value.code == "IDEMPOTENCY_KEY_IN_USE"
        assert time.monotonic() - begin >= 0.5, "it waited"
        await idempotency.store(tenant, claim, 200, b'{"first":true}', NOW, secret=False)
    again, _ = await _answer(database, founded, "slow")
    assert again is not None
    assert again.record_id == claim.record_id


async def test_a_first_answer_that_was_not_charged_is_found_so(database: Database) -> None:
    founded = await found(database)
    key = await new_key(database, founded)
    _, first_id = await _answer(database, founded, "lost")
    repeat, _ = await _answer(database, founded, "lost")
    assert repeat is not None
    assert (repeat.record_id, repeat.was_recorded) == (first_id, False)
    record = UsageRecord(
        repeat.record_id, founded.organization_id, key.key.id, "free", "/x", "POST", 200, 1, True, datetime.now(UTC)
    )
    await UsageRecorder(database).record(record)
    repeat, _ = await _answer(database, founded, "lost")
    assert repeat is not None
    assert repeat.was_recorded


async def test_a_stored_secret_is_unreadable_without_the_key(database: Database) -> None:
    founded = await found(database)
    await _answer(database, founded, "secret-key", secret=True)
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        kept = await tenant.conn.fetchval(
            "select answer from tenancy.idempotency_keys where organization_id = $1", founded.organization_id
        )
    assert b"first" not in kept
    again, _ = await _answer(database, founded, "secret-key", secret=True)
    assert again is not None
    assert again.answer == b'{"first":true}'


async def test_a_key_is_free_again_after_a_day(database: Database) -> None:
    founded = await found(database)
    await _answer(database, founded, "daily")
    later, _ = await _answer(database, founded, "daily", now=NOW + timedelta(hours=25), request=OTHER)
    assert later is None
