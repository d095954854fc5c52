"""Messages reach the world once, in turn, and say what became of them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import httpx
import pytest

from db import messages, queue, suppressions
from db.pool import Database
from db.types import SYSTEM, ApiKeyId, MessageId
from jobs import messages as deliveries
from jobs.providers.sandbox.mail import MailFault
from jobs.resources import Resources
from tests.founding import Founded, found, new_key
from tests.jobs.conftest import Outside, run_queue

pytestmark = pytest.mark.timeout(60)


async def _send(
    api: Database,
    founded: Founded,
    to: str,
    *,
    key_id: UUID,
    body: str = "Hello",
    kind: Literal["sms", "email"] = "email",
) -> MessageId:
    async with api.tenant(founded.organization_id, SYSTEM) as tenant:
        draft = messages.Draft(ApiKeyId(key_id), kind, to, body, "Greetings")
        return await messages.create(tenant, draft, datetime.now(UTC))


async def _found(api: Database) -> tuple[Founded, UUID]:
    founded = await found(api, "pro")
    return founded, (await new_key(api, founded)).key.id


async def _row(api: Database, founded: Founded, message_id: UUID) -> Any:
    async with api.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        return await tenant.conn.fetchrow(
            "select * from messaging.messages where organization_id = $1 and id = $2",
            founded.organization_id,
            message_id,
        )


async def _ring(api: Database) -> None:
    async with api.resolver() as conn:
        await queue.defer_global(conn, "messages.drain", "messages", {}, queue.Options(queueing_lock="messages.drain"))


async def test_a_bell_delivers_an_email_over_smtp(api: Database, resources: Resources, outside: Outside) -> None:
    founded, key_id = await _found(api)
    message_id = await _send(api, founded, "ada@example.com", key_id=key_id)
    await _ring(api)
    await run_queue(resources)
    assert (await _row(api, founded, message_id))["status"] == "sent"
    mails = outside.mailbox.find(to="ada@example.com")
    assert [mail.message["Subject"] for mail in mails] == ["Greetings"]


async def test_an_sms_goes_through_its_provider(api: Database, resources: Resources, outside: Outside) -> None:
    founded, key_id = await _found(api)
    message_id = await _send(api, founded, "+14155550123", key_id=key_id, kind="sms")
    await deliveries.drain.run(resources)
    row = await _row(api, founded, message_id)
    assert (row["status"], row["provider"]) == ("sent", "twilio")
    assert row["provider_id"]


async def test_a_refused_number_fails_and_is_suppressed(api: Database, resources: Resources) -> None:
    founded, key_id = await _found(api)
    first = await _send(api, founded, "+15005550001", key_id=key_id, kind="sms")
    await deliveries.drain.run(resources)
    assert (await _row(api, founded, first))["status"] == "failed"
    second = await _send(api, founded, "+15005550001", key_id=key_id, kind="sms")
    await deliveries.drain.run(resources)
    assert (await _row(api, founded, second))["error"] == "recipient is suppressed"


async def test_a_mailbox_that_does_not_exist_is_suppressed(
    api: Database, resources: Resources, outside: Outside
) -> None:
    founded, key_id = await _found(api)
    outside.mailbox.faults.add(MailFault(kind="refuse", code=550))
    message_id = await _send(api, founded, "nobody@example.com", key_id=key_id)
    await deliveries.drain.run(resources)
    row = await _row(api, founded, message_id)
    assert row["status"] == "failed"
    assert "550" in row["error"]
    async with api.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        assert await suppressions.holds(tenant, "email", "Nobody@example.com")


async def test_a_busy_server_is_tried_again_later(api: Database, resources: Resources, outside: Outside) -> None:
    founded, key_id = await _found(api)
    outside.mailbox.faults.add(MailFault(kind="refuse", code=451, times=1))
    message_id = await _send(api, founded, "later@example.com", key_id=key_id)
    await deliveries.drain.run(resources)
    row = await _row(api, founded, message_id)
    assert row["status"] == "queued"
    assert row["next_attempt_at"] > datetime.now(UTC)
    await _make_due(api, founded, message_id)
    await deliveries.drain.run(resources)
    assert (await _row(api, founded, message_id))["status"] == "sent"


async def test_one_organizations_flood_does_not_starve_another(
    api: Database, resources: Resources, outside: Outside
) -> None:
    flooding, flood_key = await _found(api)
    quiet, quiet_key = await _found(api)
    for number in range(3 * deliveries.BATCH):
        await _send(api, flooding, f"flood{number}@example.com", key_id=flood_key)
    await _send(api, quiet, "quiet@example.com", key_id=quiet_key)
    await deliveries.drain.run(resources)
    order = [mail.recipients for mail in reversed(outside.mailbox.find())]
    assert len(order) == 3 * deliveries.BATCH + 1
    position = next(index for index, to in enumerate(order) if "quiet@example.com" in to)
    assert position <= deliveries.BATCH


@pytest.mark.parametrize("avoided", ["hashjoin", "nestloop"])
async def test_a_batch_is_no_larger_than_asked_for_whatever_the_planner_thinks(
    api: Database, resources: Resources, avoided: str
) -> None:
    founded, key_id = await _found(api)
    for number in range(12):
        await _send(api, founded, f"batch{number}@example.com", key_id=key_id)
    async with resources.database.tenant(founded.organization_id, SYSTEM) as tenant:
        for choice in (avoided, "mergejoin", "material", "hashagg"):
            await tenant.conn.execute(f"set local enable_{choice} = off")
        claimed = await messages.claim(tenant, 5, datetime.now(UTC))
        assert len(claimed) == 5
        assert len(await messages.claim(tenant, 5, datetime.now(UTC))) == 5
        later = datetime.now(UTC) + timedelta(minutes=1)
        assert len(await messages.claim_abandoned(tenant, 3, later, later)) == 3
        rest = await messages.claim(tenant, 5, datetime.now(UTC))
        assert len(rest) == 2


async def test_a_killed_workers_mail_is_sent_again_under_the_same_message_id(
    api: Database, resources: Resources, outside: Outside
) -> None:
    founded, key_id = await _found(api)
    message_id = await _send(api, founded, "again@example.com", key_id=key_id)
    await _claim_and_die(resources, founded)
    await deliveries.drain.run(resources)
    row = await _row(api, founded, message_id)
    assert row["status"] == "sent"
    assert str(message_id) in outside.mailbox.find(to="again@example.com")[0].message["Message-ID"]


async def test_a_killed_workers_sms_is_asked_about_and_not_sent_twice(
    api: Database, resources: Resources, outside: Outside
) -> None:
    founded, key_id = await _found(api)
    message_id = await _send(api, founded, "+14155550177", key_id=key_id, kind="sms", body=f"once {founded.user_id}")
    await _claim_and_die(resources, founded, after_sending=True)
    await deliveries.drain.run(resources)
    row = await _row(api, founded, message_id)
    assert row["status"] in ("sent", "delivered")
    assert row["provider_id"]
    account = "AC" + "0" * 32
    async with httpx.AsyncClient(base_url=outside.sandbox_url, auth=(account, "token")) as client:
        page = await client.get(f"/twilio/2010-04-01/Accounts/{account}/Messages.json")
    assert [sent["body"] for sent in page.json()["messages"]].count(f"once {founded.user_id}") == 1


async def test_what_is_rolled_back_leaves_no_message_and_no_announcement(api: Database, resources: Resources) -> None:
    founded, key_id = await _found(api)
    draft = messages.Draft(ApiKeyId(key_id), "email", "x@example.com", "x")
    with pytest.raises(ZeroDivisionError):
        await _send_and_fail(api, founded, draft)
    waiting = [organization async for organization in messages.waiting_organizations(resources.database)]
    assert founded.organization_id not in waiting


async def test_announcements_are_withdrawn_only_when_nothing_waits(api: Database, resources: Resources) -> None:
    """Senders and withdrawers race; at the end every organization with a queued message is still announced."""
    founded, key_id = await _found(api)

    async def sender() -> None:
        for _ in range(25):
            await _send(api, founded, "race@example.com", key_id=key_id)

    async def withdrawer() -> None:
        for _ in range(60):
            async with resources.database.tenant(founded.organization_id, SYSTEM) as tenant:
                await tenant.conn.execute(
                    "update messaging.messages set status = 'sent' where organization_id = $1", founded.organization_id
                )
                await messages.withdraw(tenant)

    await asyncio.gather(sender(), sender(), withdrawer())
    await _send(api, founded, "last@example.com", key_id=key_id)
    waiting = [organization async for organization in messages.waiting_organizations(resources.database)]
    assert founded.organization_id in waiting


async def _send_and_fail(api: Database, founded: Founded, draft: messages.Draft) -> None:
    async with api.tenant(founded.organization_id, SYSTEM) as tenant:
        await messages.create(tenant, draft, datetime.now(UTC))
        raise ZeroDivisionError


async def _make_due(api: Database, founded: Founded, message_id: UUID) -> None:
    async with api.tenant(founded.organization_id, SYSTEM) as tenant:
        await tenant.conn.execute(
            "update messaging.messages set next_attempt_at = now() where organization_id = $1 and id = $2",
            founded.organization_id, message_id,
        )  # fmt: skip


async def _claim_and_die(resources: Resources, founded: Founded, *, after_sending: bool = False) -> None:
    """What a worker leaves behind that is killed with a message in its hands, ten minutes ago."""
    then = datetime.now(UTC)
    async with resources.database.tenant(founded.organization_id, SYSTEM) as tenant:
        claimed = await messages.claim(tenant, 10, then)
    if after_sending and resources.sms is not None:
        await resources.sms.send(claimed[0].id, claimed[0].recipient, claimed[0].body, None)
    async with resources.database.tenant(founded.organization_id, SYSTEM) as tenant:
        await tenant.conn.execute(
            "update messaging.messages set claimed_at = $2 where organization_id = $1 and status = 'sending'",
            founded.organization_id, then - timedelta(minutes=10),
        )  # fmt: skip
