"""A request that is one statement carries its organization in with it, and leaves nothing of it behind."""

from datetime import UTC, datetime

import asyncpg
import pytest

from db import messages
from db.messages import Caller, Draft
from db.pool import Database
from db.types import SYSTEM, ApiKeyId, MessageId, OrganizationId, new_id
from tests.founding import Founded, found, new_key
from tests.servers import Urls


async def _caller(database: Database, founded: Founded) -> Caller:
    key = (await new_key(database, founded)).key.id
    return Caller(founded.organization_id, key, "request", "203.0.113.7")


def _draft(caller: Caller) -> Draft:
    return Draft(caller.api_key_id, "email", "reader@example.com", "Hello")


async def test_a_message_is_sent_and_shown_to_its_organization_alone(database: Database) -> None:
    mine, other = [await _caller(database, await found(database)) for _ in range(2)]
    message_id = await messages.send(database, mine, _draft(mine), datetime.now(UTC))
    shown = await messages.show(database, mine.organization_id, message_id)
    assert shown is not None
    assert (shown.id, shown.status) == (message_id, "queued")
    assert await messages.show(database, other.organization_id, message_id) is None
    async with database.tenant(mine.organization_id, SYSTEM, read_only=True) as tenant:
        assert await messages.get(tenant, message_id) == shown


async def test_a_key_of_another_organization_sends_nothing(database: Database) -> None:
    mine, other = [await _caller(database, await found(database)) for _ in range(2)]
    mixed = Caller(mine.organization_id, other.api_key_id, "request", "203.0.113.7")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await messages.send(database, mixed, _draft(mixed), datetime.now(UTC))


async def test_nothing_of_the_organization_stays_on_the_connection(database: Database, urls: Urls) -> None:
    alone = await Database.open(urls.api, 1, "tests")
    caller = await _caller(database, await found(database))
    await messages.send(alone, caller, _draft(caller), datetime.now(UTC))
    await messages.show(alone, caller.organization_id, MessageId(new_id()))
    async with alone.statement() as conn:
        assert not await conn.fetchval("select current_setting('app.current_org_id', true)")
        with pytest.raises(asyncpg.PostgresError, match="no organization in context"):
            await conn.fetch("select id from messaging.messages")
    await alone.close()


async def test_one_cannot_enter_from_inside_another_organization(database: Database) -> None:
    mine, other = await found(database), await _caller(database, await found(database))
    with pytest.raises(asyncpg.PostgresError, match="another organization is in context"):
        async with database.tenant(mine.organization_id, SYSTEM) as tenant:
            await tenant.conn.execute(
                "select app.enter($1, $2, null, null)", other.organization_id, other.api_key_id
            )  # fmt: skip


async def test_nobody_enters_without_an_organization_or_a_key(database: Database) -> None:
    caller = await _caller(database, await found(database))
    for organization_id, key_id in ((None, caller.api_key_id), (caller.organization_id, None)):
        async with database.statement() as conn:
            with pytest.raises(asyncpg.PostgresError, match=r"no organization to enter|no key to enter with"):
                await conn.execute(
                    "select app.enter($1, $2, null, null)",
                    OrganizationId(organization_id) if organization_id else None,
                    ApiKeyId(key_id) if key_id else None,
                )
