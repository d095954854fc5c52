"""Owners and admins hear of 80 and 100 % of the quota, once a month each, unless they have said that they need not."""

import asyncio
import re
from datetime import UTC, timedelta
from uuid import UUID

import pytest

from db import maintenance, work
from db.types import OrganizationId, new_id
from db.usage import UsageRecord, UsageRecorder
from jobs import usage
from jobs.providers.sandbox.mail_store import CaughtMail
from jobs.resources import open_resources
from tests.stack import Stack
from tests.visitors import Person

pytestmark = pytest.mark.timeout(90)


async def _key(person: Person) -> tuple[str, UUID]:
    made = (await person.post("/keys", {"name": "test"})).data
    return str(made["key"]), UUID(made["id"])


async def _use(stack: Stack, person: Person, key_id: UUID, requests: int, plan: str = "free") -> None:
    recorder = UsageRecorder(stack.resources.database)
    now = stack.clock.now().astimezone(UTC)
    organization_id = OrganizationId(UUID(person.organization["id"]))
    records = [
        UsageRecord(new_id(), organization_id, key_id, plan, "/api/v1/messages/send", "POST", 200, 1000, True, now)  # type: ignore[arg-type]
        for _ in range(requests)
    ]
    await asyncio.gather(*(recorder.record(record) for record in records))
    await recorder.close()


async def _look(stack: Stack, *, everybody: bool = False) -> None:
    """What the schedule does, and then the mails."""
    async with open_resources(stack.worker_settings, stack.clock) as resources:
        await (usage.alert_all if everybody else usage.alert).run(resources, 0)
    await stack.work()


def _alerts(stack: Stack, to: str) -> list[CaughtMail]:
    return [mail for mail in stack.mails(to) if "of its requests" in mail.subject]


async def test_the_request_that_reaches_a_threshold_brings_the_mail_once(stack: Stack) -> None:
    owner = await stack.register("Blue Heron")
    admin, member = await stack.join(owner, "admin"), await stack.join(owner)
    key, key_id = await _key(owner)
    await _use(stack, owner, key_id, 799)
    reply = await stack.visitor().get("/messages", X_API_Key=key)
    assert reply.status == 200
    async with open_resources(stack.worker_settings) as resources:
        async with asyncio.timeout(20):
            while OrganizationId(UUID(owner.organization["id"])) not in [  # noqa: ASYNC110 - the product has no such event
                organization_id async for organization_id in work.waiting(resources.database, "usage_alert")
            ]:
                await asyncio.sleep(0.1)
    for _ in range(2):
        await _look(stack)
        await _look(stack, everybody=True)
    for person, mails in ((owner, 1), (admin, 1), (member, 0)):
        assert len(_alerts(stack, person.email)) == mails
    mail = _alerts(stack, owner.email)[0]
    assert mail.subject.startswith("Blue Heron has used 80 % of its requests in ")
    assert "800 of 1,000 requests" in (mail.part("plain") or "")


async def test_at_the_end_of_the_quota_there_is_one_more_mail_and_next_month_they_begin_again(stack: Stack) -> None:
    owner = await stack.register()
    _, key_id = await _key(owner)
    await _use(stack, owner, key_id, 850)
    await _look(stack, everybody=True)
    await _use(stack, owner, key_id, 150)
    await _look(stack, everybody=True)
    subjects = [re.findall(r"\d+ %", mail.subject) for mail in _alerts(stack, owner.email)]
    assert subjects == [["100 %"], ["80 %"]]
    assert stack.rows(
        "select percent, used, included from usage.alerts where organization_id = %s order by percent",
        owner.organization["id"],
    ) == [(80, 850, 1000), (100, 1000, 1000)]
    turned = timedelta(days=31)
    stack.clock.ahead += turned
    try:
        async with open_resources(stack.worker_settings, stack.clock) as resources:
            await maintenance.create_usage_partitions(resources.database, stack.clock.now().date())
        await _use(stack, owner, key_id, 1000)
        await _look(stack, everybody=True)
    finally:
        stack.clock.ahead -= turned
    assert len(_alerts(stack, owner.email)) == 3, "80 and 100 % at once are one mail"


async def test_a_plan_that_charges_says_what_further_requests_cost(stack: Stack) -> None:
    owner = await stack.register()
    _, key_id = await _key(owner)
    (await owner.post("/billing/upgrade", {"plan": "starter"})).data  # noqa: B018
    included = stack.rows(
        "select t.included from tenancy.organizations o, billing.terms(o.organization_id, %s) t"
        " where o.organization_id = %s and t.plan = 'starter'",
        stack.clock.now().date().replace(day=1), owner.organization["id"],
    )[0][0]  # fmt: skip
    await _use(stack, owner, key_id, included * 4 // 5 + 1, plan="starter")
    await _look(stack, everybody=True)
    text = _alerts(stack, owner.email)[0].part("plain") or ""
    assert "each further request costs $0.01" in text.replace("\n", " ")


async def test_one_post_from_the_mail_ends_the_alerts_and_a_look_at_the_page_does_not(stack: Stack) -> None:
    owner = await stack.register()
    admin = await stack.join(owner, "admin")
    _, key_id = await _key(owner)
    await _use(stack, owner, key_id, 800)
    await _look(stack, everybody=True)
    headers = dict(_alerts(stack, owner.email)[0].headers)
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    path = headers["List-Unsubscribe"].strip("<>").removeprefix(stack.settings.base_url)
    page = await stack.http.get(path)
    assert (page.status_code, "Stop usage alerts?" in page.text) == (200, True)
    assert page.headers["referrer-policy"] == "no-referrer"
    assert stack.rows("select * from messaging.unsubscriptions") == []
    for _ in range(2):
        left = await stack.http.post(path, data={"List-Unsubscribe": "One-Click"})
        assert (left.status_code, "No more usage alerts" in left.text) == (200, True)
    await _use(stack, owner, key_id, 200)
    await _look(stack, everybody=True)
    assert (len(_alerts(stack, owner.email)), len(_alerts(stack, admin.email))) == (1, 2)


@pytest.mark.parametrize("token", ["x", "a" * 77, "ä" * 20])
async def test_an_unsubscription_nobody_sealed_is_no_page(stack: Stack, token: str) -> None:
    assert (await stack.http.get(f"/unsubscribe/{token}")).status_code == 404
    assert (await stack.http.post(f"/unsubscribe/{token}")).status_code == 404
