"""Messages over HTTP: found by filter and cursor, and moved forward by the SMS company's signed word alone."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import SecretStr

from jobs.providers.twilio import sign
from jobs.resources import open_resources
from jobs.worker import work
from tests.stack import Stack, serving
from tests.visitors import Person

pytestmark = pytest.mark.timeout(60)
SID, TOKEN = "AC" + "0" * 32, "token"
BASE = "/api/v1/webhooks/sms"


@dataclass
class Sender:
    """An organization with a key, on an installation that offers SMS."""

    stack: Stack
    http: httpx.AsyncClient
    owner: Person
    key: str
    update: dict[str, object]

    async def send(self, **body: object) -> str:
        """Send a message; its public id."""
        given = {"to": "+14155550123", "type": "sms", "message": "Hello", **body}
        reply = await self.stack.visitor(self.http).post("/messages/send", given, X_API_Key=self.key)
        return str(reply.data["message_id"])

    async def work(self) -> None:
        """Run the worker until no job is waiting."""
        settings = self.stack.worker_settings.model_copy(update=self.update)
        async with open_resources(settings, self.stack.clock) as resources:
            await work(resources, self.stack.urls.worker, wait=False, periodic=False)

    async def shown(self, message_id: str) -> dict[str, object]:
        """The message as its sender sees it."""
        reply = await self.stack.visitor(self.http).get(f"/messages/{message_id}", X_API_Key=self.key)
        shown: dict[str, object] = reply.data
        return shown

    def provider_id(self, message_id: str) -> str:
        """What the SMS company calls it."""
        return str(self.stack.rows("select provider_id from messaging.messages where id = %s", message_id[4:])[0][0])

    async def call_back(
        self, message_id: str, status: str, *, organization: str | None = None, token: str = TOKEN, **fields: str
    ) -> int:
        """Post a status as the SMS company does; the answer's status."""
        path = f"{BASE}/{organization or self.owner.organization['id']}/{UUID(message_id[4:])}"
        form = {"MessageSid": self.provider_id(message_id), "MessageStatus": status, **fields}
        signature = sign(f"{self.stack.settings.base_url}{path}", list(form.items()), token).decode()
        return (await self.http.post(path, data=form, headers={"X-Twilio-Signature": signature})).status_code


@pytest.fixture
async def sender(stack: Stack, sandbox_url: str) -> AsyncIterator[Sender]:
    """A sender of SMS and e-mail."""
    update: dict[str, object] = {
        "twilio_account_sid": SID, "twilio_auth_token": SecretStr(TOKEN), "twilio_api_base": f"{sandbox_url}/twilio",
    }  # fmt: skip
    owner = await stack.register()
    (await owner.post("/billing/upgrade", {"plan": "pro"})).data  # noqa: B018
    key = str((await owner.post("/keys", {"name": "test"})).data["key"])
    async with serving(stack.settings.model_copy(update=update), stack.clock) as (http, _):
        yield Sender(stack, http, owner, key, update)


async def test_call_backs_move_a_message_forward_and_never_back(sender: Sender) -> None:
    message_id = await sender.send()
    await sender.work()
    assert (await sender.shown(message_id))["status"] == "sent"
    assert await sender.call_back(message_id, "delivered") == 200
    delivered = await sender.shown(message_id)
    assert delivered["status"] == "delivered"
    for late in ("sent", "queued", "delivered", "failed"):
        assert await sender.call_back(message_id, late) == 200
        assert await sender.shown(message_id) == delivered


async def test_a_call_back_that_is_not_signed_for_this_message_is_refused(sender: Sender) -> None:
    message_id = await sender.send()
    await sender.work()
    assert await sender.call_back(message_id, "delivered", token="another") == 400
    path = f"{BASE}/{sender.owner.organization['id']}/{UUID(message_id[4:])}"
    form = {"MessageSid": sender.provider_id(message_id), "MessageStatus": "delivered"}
    elsewhere = sign(f"{sender.stack.settings.base_url}{path}x", list(form.items()), TOKEN).decode()
    for headers in ({}, {"X-Twilio-Signature": ""}, {"X-Twilio-Signature": elsewhere}):
        assert (await sender.http.post(path, data=form, headers=headers)).status_code == 400
    assert (await sender.shown(message_id))["status"] == "sent"


async def test_a_call_back_moves_nothing_of_another_organization_and_nothing_of_another_number(
    sender: Sender,
) -> None:
    stranger = await sender.stack.register()
    message_id = await sender.send()
    await sender.work()
    assert await sender.call_back(message_id, "delivered", organization=str(stranger.organization["id"])) == 200
    assert await sender.call_back(message_id, "delivered", organization=str(uuid4())) == 200
    assert await sender.call_back(message_id, "delivered", MessageSid="SM" + "f" * 32) == 200
    assert (await sender.shown(message_id))["status"] == "sent"


async def test_a_number_that_does_not_exist_is_suppressed_by_its_call_back(sender: Sender) -> None:
    message_id = await sender.send()
    await sender.work()
    assert await sender.call_back(message_id, "undelivered", ErrorCode="30005") == 200
    failed = await sender.shown(message_id)
    assert (failed["status"], failed["error"]) == ("failed", "30005")
    entries = (await sender.owner.get("/suppressions")).data["suppressions"]
    assert [(entry["recipient"], entry["source"]) for entry in entries] == [("+14155550123", "bounce")]


async def test_a_late_call_back_keeps_a_message_from_being_sent_again(sender: Sender) -> None:
    message_id = await sender.send()
    await sender.work()
    sender.stack.rows(
        "update messaging.messages set status = 'queued', next_attempt_at = now() + interval '1 hour' where id = %s"
        " returning id", message_id[4:],
    )  # fmt: skip
    assert await sender.call_back(message_id, "sent") == 200
    assert (await sender.shown(message_id))["status"] == "sent"


async def test_messages_are_listed_by_type_and_status_page_by_page(sender: Sender) -> None:
    texts = [await sender.send(to=f"r{number}@example.com", type="email", subject="Hi") for number in range(3)]
    sms = [await sender.send() for _ in range(2)]
    await sender.work()
    waiting = await sender.send(to="last@example.com", type="email")
    http = sender.stack.visitor(sender.http)

    async def listed(query: str) -> list[str]:
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await http.get(f"/messages?limit=2{query}{cursor}", X_API_Key=sender.key)).data
            seen += [message["message_id"] for message in page["messages"]]
            if not page["pagination"]["has_more"]:
                return seen
            cursor = f"&cursor={page['pagination']['next_cursor']}"

    assert await listed("") == [waiting, *reversed(sms), *reversed(texts)]
    assert await listed("&type=email") == [waiting, *reversed(texts)]
    assert await listed("&type=sms&status=sent") == [*reversed(sms)]
    assert await listed("&status=queued") == [waiting]
    assert await listed("&status=delivered") == []
    for wrong in ("status=lost", "type=fax", "limit=0", "limit=101", "cursor=x", "page=2"):
        assert (await http.get(f"/messages?{wrong}", X_API_Key=sender.key)).code == "VALIDATION_ERROR"


async def test_a_request_is_recorded_under_its_route_and_never_under_the_path_that_was_asked_for(
    sender: Sender,
) -> None:
    await sender.shown(await sender.send())
    assert (await sender.stack.visitor(sender.http).get("/messages/msg_x?a=b", X_API_Key=sender.key)).status >= 400
    recorded = "select distinct endpoint from usage.usage_records where organization_id = %s and method = 'GET'"
    found = sender.stack.rows(recorded, sender.owner.organization["id"])
    assert found == [("/api/v1/messages/{message_id}",)]


async def test_another_organizations_messages_do_not_exist(sender: Sender) -> None:
    message_id = await sender.send()
    stranger = await sender.stack.register()
    key = str((await stranger.post("/keys", {"name": "test"})).data["key"])
    http = sender.stack.visitor(sender.http)
    assert (await http.get(f"/messages/{message_id}", X_API_Key=key)).code == "NOT_FOUND"
    assert (await http.get("/messages", X_API_Key=key)).data["messages"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"message": "nul \x00 byte"}, "message"),
        ({"metadata": {"a": "nul \x00"}}, "metadata"),
        ({"metadata": {"nul \x00": 1}}, "metadata"),
        ({"message": "x" * 1601}, "message"),
        ({"to": "4155550123"}, "to"),
        ({"to": "+1"}, "to"),
        ({"type": "email", "to": "nobody"}, "to"),
        ({"type": "email", "to": "a@example.com", "subject": "two\nlines"}, "subject"),
    ],
)
async def test_what_cannot_be_sent_is_named(sender: Sender, body: dict[str, object], field: str) -> None:
    given = {"to": "+14155550123", "type": "sms", "message": "Hello", **body}
    reply = await sender.stack.visitor(sender.http).post("/messages/send", given, X_API_Key=sender.key)
    assert reply.code == "VALIDATION_ERROR", reply.response.text
    assert reply.error["details"]["field"].split(".")[0] == field
