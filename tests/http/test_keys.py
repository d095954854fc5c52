"""Keys over HTTP: refused from the moment a revocation answers, reported by anybody, kept when their maker leaves."""

import asyncio
import re

import httpx
import pytest

from tests.stack import Stack, stack, visitor
from tests.visitors import Person

__all__ = ["stack", "visitor"]
MESSAGE = {"to": "reader@example.com", "type": "email", "message": "Hello"}


async def _key(person: Person, **body: object) -> dict[str, str]:
    made: dict[str, str] = (await person.post("/keys", {"name": "shop", **body})).data
    return made


async def _use(http: httpx.AsyncClient, key: str) -> httpx.Response:
    return await http.get("/api/v1/messages", headers={"X-API-Key": key})


async def test_a_revoked_key_is_refused_by_every_server_from_the_answer_on(stack: Stack) -> None:
    person = await stack.register()
    async with stack.second_process() as elsewhere:
        for _ in range(15):
            key = await _key(person)
            for http in (stack.http, elsewhere):
                assert (await _use(http, key["key"])).status_code in (200, 429)
            assert (await person.delete(f"/keys/{key['id']}")).status == 200
            answers = await asyncio.gather(*(_use(http, key["key"]) for http in (stack.http, elsewhere)))
            assert [answer.status_code for answer in answers] == [401, 401]


async def test_a_reported_key_is_revoked_and_its_owners_are_told_whoever_reports_it(stack: Stack) -> None:
    person = await stack.register("Leaky & Sons")
    key = await _key(person)
    stranger = stack.visitor()
    assert (await _use(stack.http, key["key"])).status_code == 200
    texts = set()
    for reported in ("sk_live_" + "0" * 64, "not a key", key["key"], key["key"], "клю́ч"):
        reply = await stranger.post("/keys/report", {"key": reported})
        assert reply.status == 200
        texts.add(re.sub(r'"request_id":"[^"]*"', "", reply.response.text))
    assert len(texts) == 1, "an answer tells what the key was"
    assert (await _use(stack.http, key["key"])).status_code == 401
    await stack.work()
    mails = [mail for mail in stack.mails(person.email) if "found in public" in mail.subject]
    assert len(mails) == 1
    text = mails[0].part("plain") or ""
    assert key["key"] not in text
    assert f"{key['key'][8:12]}…{key['key'][-4:]}" in text
    listed = (await person.get("/keys")).data["keys"]
    assert [each["is_active"] for each in listed] == [False]


async def test_reports_are_limited_by_network(stack: Stack) -> None:
    stranger = stack.visitor()
    codes = [(await stranger.post("/keys/report", {"key": "x"})).code for _ in range(31)]
    assert codes == ["OK"] * 30 + ["RATE_LIMIT_EXCEEDED"]


async def test_a_key_outlives_its_makers_seat_and_is_listed_as_orphaned(stack: Stack) -> None:
    owner = await stack.register()
    member = await stack.join(owner)
    key = await _key(member)
    assert (await owner.delete(f"/team/members/{member.user['id']}")).status == 200
    assert (await _use(stack.http, key["key"])).status_code == 200
    listed = (await owner.get("/keys")).data["keys"]
    assert [(each["id"], each["is_orphaned"]) for each in listed] == [(key["id"], True)]
    assert (await member.get("/keys")).status == 401


async def test_a_test_key_charges_nothing_and_takes_nothing_from_the_quota(stack: Stack) -> None:
    person = await stack.register()
    key = await _key(person, mode="test")
    sent = await stack.http.post("/api/v1/messages/send", json=MESSAGE, headers={"X-API-Key": key["key"]})
    assert sent.status_code == 200
    assert '"month"' not in sent.headers["ratelimit-policy"]
    await stack.work()
    assert stack.mails("reader@example.com") == []
    organization = person.organization["id"]
    found = stack.rows("select is_billable from usage.usage_records where organization_id = %s", organization)
    assert found == [(False,)]
    assert (await person.get("/dashboard/stats")).data["stats"]["current_month_requests"] == 0


@pytest.mark.parametrize("scopes", [["messages:send"], ["messages:read"], ["usage:read"]])
async def test_a_key_does_what_its_scopes_say_and_a_refusal_is_not_charged(stack: Stack, scopes: list[str]) -> None:
    person = await stack.register()
    key = {"X-API-Key": (await _key(person, scopes=scopes))["key"]}
    sent = await stack.http.post("/api/v1/messages/send", json=MESSAGE, headers=key)
    read = await stack.http.get("/api/v1/messages", headers=key)
    assert (sent.status_code == 200, read.status_code == 200) == ("messages:send" in scopes, "messages:read" in scopes)
    charged = "select count(*) from usage.usage_records where organization_id = %s and is_billable"
    allowed = sum(answer.status_code == 200 for answer in (sent, read))
    assert stack.rows(charged, person.organization["id"]) == [(allowed,)]
    left = int(read.headers["ratelimit"].split('"month";r=')[1].split(";")[0])
    assert left + allowed in (1000, 999), "given back after the headers were made"


async def test_concurrent_creations_stay_within_the_plan(stack: Stack) -> None:
    person = await stack.register()
    replies = await asyncio.gather(*(person.post("/keys", {"name": f"k{n}"}) for n in range(12)))
    made = sum(reply.status == 201 for reply in replies)
    codes = {reply.code for reply in replies if reply.status != 201}
    assert codes <= {"API_KEY_LIMIT_REACHED"}
    listed = (await person.get("/keys")).data["keys"]
    assert len(listed) == made == 12 - sum(reply.status != 201 for reply in replies)
    assert made < 12
