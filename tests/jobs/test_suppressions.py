"""Who is on an organization's list is not written to; owners and admins read and change it, nobody else's is seen."""

from uuid import UUID

import pytest

from db import suppressions
from db.types import SYSTEM, OrganizationId
from tests.stack import Stack
from tests.visitors import Person

pytestmark = pytest.mark.timeout(60)


async def _key(person: Person) -> str:
    return str((await person.post("/keys", {"name": "test"})).data["key"])


async def _send(stack: Stack, key: str, to: str) -> str:
    body = {"to": to, "type": "email", "message": "Hello"}
    reply = await stack.visitor().post("/messages/send", body, X_API_Key=key)
    return str(reply.data["message_id"])


async def test_a_suppressed_recipient_is_not_written_to_however_it_is_spelt(stack: Stack) -> None:
    owner = await stack.register()
    added = (await owner.post("/suppressions", {"channel": "email", "recipient": "Quiet@Example.com"})).data
    assert added | {"id": 0, "created_at": 0} == {
        "id": 0, "created_at": 0, "channel": "email", "recipient": "quiet@example.com", "source": "manual",
        "reason": "Added by a member",
    }  # fmt: skip
    key = await _key(owner)
    message_id = await _send(stack, key, "QUIET@example.com")
    await stack.work()
    shown = (await stack.visitor().get(f"/messages/{message_id}", X_API_Key=key)).data
    assert (shown["status"], shown["error"]) == ("failed", "recipient is suppressed")
    assert stack.mails("quiet@example.com") == []
    (await owner.delete(f"/suppressions/{added['id']}")).data  # noqa: B018
    await _send(stack, key, "quiet@example.com")
    await stack.work()
    assert len(stack.mails("quiet@example.com")) == 1


async def test_the_list_is_read_page_by_page_and_by_recipient(stack: Stack) -> None:
    owner = await stack.register()
    for number in range(5):
        (await owner.post("/suppressions", {"channel": "email", "recipient": f"r{number}@example.com"})).data  # noqa: B018
    (await owner.post("/suppressions", {"channel": "sms", "recipient": "+1 415 555 0123"})).data  # noqa: B018
    seen, cursor = [], None
    while True:
        page = (await owner.get(f"/suppressions?limit=4{f'&cursor={cursor}' if cursor else ''}")).data
        seen += [entry["recipient"] for entry in page["suppressions"]]
        cursor = page["pagination"]["next_cursor"]
        if not page["pagination"]["has_more"]:
            break
    assert seen == ["+14155550123", *(f"r{number}@example.com" for number in reversed(range(5)))]
    of_one = (await owner.get("/suppressions?recipient=R3@example.com")).data["suppressions"]
    assert [entry["recipient"] for entry in of_one] == ["r3@example.com"]
    assert len((await owner.get("/suppressions?channel=sms")).data["suppressions"]) == 1
    assert (await owner.get("/suppressions?cursor=nonsense")).code == "VALIDATION_ERROR"


async def test_who_is_on_the_list_stays_there_with_the_first_reason(stack: Stack) -> None:
    owner = await stack.register()
    organization_id = OrganizationId(UUID(owner.organization["id"]))
    async with stack.resources.database.tenant(organization_id, SYSTEM) as tenant:
        now = stack.clock.now()
        entry, _ = await suppressions.add(tenant, "email", "gone@example.com", "bounce", "5.1.1", now)
    again = await owner.post("/suppressions", {"channel": "email", "recipient": "gone@example.com"})
    assert (again.status, again.code, again.error["details"]["id"]) == (409, "CONFLICT", str(entry.id))
    listed = (await owner.get("/suppressions")).data["suppressions"]
    assert [(each["source"], each["reason"]) for each in listed] == [("bounce", "5.1.1")]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"channel": "email", "recipient": "nobody"}, "recipient"),
        ({"channel": "sms", "recipient": "0123"}, "recipient"),
        ({"channel": "fax", "recipient": "+14155550123"}, "channel"),
        ({"channel": "email", "recipient": "a@example.com", "reason": "two\nlines"}, "reason"),
    ],
)
async def test_what_is_no_recipient_is_refused(stack: Stack, body: dict[str, str], field: str) -> None:
    reply = await (await stack.register(verified=False)).post("/suppressions", body)
    assert (reply.status, reply.error["details"]["field"]) == (400, field)


async def test_admins_may_and_members_may_not(stack: Stack) -> None:
    owner = await stack.register()
    admin, member = await stack.join(owner, "admin"), await stack.join(owner)
    body = {"channel": "email", "recipient": "x@example.com"}
    entry = (await admin.post("/suppressions", body)).data
    for reply in (
        await member.get("/suppressions"),
        await member.post("/suppressions", body),
        await member.delete(f"/suppressions/{entry['id']}"),
    ):
        assert (reply.status, reply.code) == (403, "PERMISSION_DENIED")


async def test_another_organizations_list_does_not_exist(stack: Stack) -> None:
    owner, stranger = await stack.register(), await stack.register()
    entry = (await owner.post("/suppressions", {"channel": "email", "recipient": "x@example.com"})).data
    assert (await stranger.delete(f"/suppressions/{entry['id']}")).code == "NOT_FOUND"
    assert (await stranger.get("/suppressions")).data["suppressions"] == []
    assert len((await owner.get("/suppressions")).data["suppressions"]) == 1


async def test_a_members_choice_does_not_stop_the_products_own_mail(stack: Stack) -> None:
    owner = await stack.register()
    body = {"channel": "email", "recipient": owner.email}
    (await owner.post("/suppressions", body)).data  # noqa: B018
    before = len(stack.mails(owner.email))
    (await owner.post("/keys", {"name": "another"})).data  # noqa: B018
    await stack.work()
    assert len(stack.mails(owner.email)) == before + 1
