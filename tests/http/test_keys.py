"""Keys over HTTP: refused from the moment a revocation answers, reported by anybody, kept when their maker leaves."""

import asyncio
import hmac
import re
from hashlib import sha256

import httpx
import pytest
import redis
from pydantic import SecretStr

from api.app import SUBJECTS
from api.http import BY_USER
from api.permissions import Scope
from tests.stack import Stack, serving, stack, visitor
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


async def test_rotation_makes_no_keys_beyond_the_plan(stack: Stack) -> None:
    person = await stack.register()
    key = await _key(person)
    limit = (await _fill(person))["limit"]
    replies = await asyncio.gather(
        *(person.post(f"/keys/{key['id']}/rotate", {"grace_seconds": 3600}) for _ in range(6))
    )
    assert sorted(reply.code for reply in replies) == ["CONFLICT"] * 5 + ["OK"], "a key has one successor"
    newest = next(reply.data["id"] for reply in replies if reply.status == 201)
    codes = []
    for _ in range(2 * limit):
        reply = await person.post(f"/keys/{newest}/rotate", {"grace_seconds": 3600})
        codes.append(reply.code)
        newest = reply.data["id"] if reply.status == 201 else newest
    assert codes == ["OK"] * (limit - 1) + ["API_KEY_LIMIT_REACHED"] * (limit + 1), "as many in grace as may be kept"
    assert (await person.post(f"/keys/{newest}/rotate", {})).status == 201, "without a grace it is one for one"


async def _fill(person: Person) -> dict[str, int]:
    """Make keys until the plan allows no more; what the refusal says."""
    while (reply := await person.post("/keys", {"name": "one more"})).status == 201:
        pass
    assert reply.code == "API_KEY_LIMIT_REACHED"
    details: dict[str, int] = reply.error["details"]
    return details


async def test_a_key_reads_the_usage_that_its_organizations_owner_sees(stack: Stack) -> None:
    person, other = await stack.register(), await stack.register()
    reader, sender = await _key(person, scopes=["usage:read"]), await _key(person, scopes=["messages:send"])
    await _use(stack.http, (await _key(other))["key"])
    for _ in range(3):
        await stack.http.post("/api/v1/messages/send", json=MESSAGE, headers={"X-API-Key": sender["key"]})
    read = await stack.http.get("/api/v1/usage", headers={"X-API-Key": reader["key"]})
    assert read.status_code == 200
    shown = read.json()["data"]
    assert [(use["endpoint"], use["requests"]) for use in shown["by_endpoint"]] == [("/api/v1/messages/send", 3)]
    seen = (await person.get("/billing/usage")).data
    assert seen["summary"]["total_requests"] == shown["summary"]["total_requests"] + 1, "reading it was a request"
    assert shown["summary"]["period"] == seen["summary"]["period"]
    wrong = await stack.http.get("/api/v1/usage?start_date=2026-13-01", headers={"X-API-Key": reader["key"]})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    refused = await stack.http.get("/api/v1/usage", headers={"X-API-Key": sender["key"]})
    assert refused.json()["error"]["details"] == {"scope": "usage:read"}
    missing = await person.get("/usage")
    assert (missing.status, missing.code) == (401, "MISSING_API_KEY")


async def test_a_change_of_plan_forgets_the_count_of_the_former_one(stack: Stack) -> None:
    person = await stack.register()
    await _use(stack.http, (await _key(person))["key"])
    counts = f"quota:{{{person.organization['id']}}}:*"
    with redis.Redis.from_url(stack.settings.redis_url.get_secret_value()) as stored:
        assert list(stored.scan_iter(counts))
        assert (await person.post("/billing/upgrade", {"plan": "starter"})).status == 200
        assert list(stored.scan_iter(counts)) == []


async def test_with_a_pepper_the_directory_holds_a_keyed_hash(stack: Stack) -> None:
    settings = stack.settings.model_copy(update={"api_key_pepper": SecretStr("p" * 32)})
    person = await stack.register()
    async with serving(settings, stack.clock) as (http, _):
        person.http = http
        value = (await _key(person))["key"]
        assert (await _use(http, value)).status_code == 200
    assert (await _use(stack.http, value)).status_code == 401, "no other secret finds it"
    kept = [bytes(row[0]) for row in stack.rows("select digest from identity.api_key_directory")]
    assert hmac.digest(b"p" * 32, value.encode(), "sha256") in kept
    assert sha256(value.encode()).digest() not in kept


async def test_a_person_is_limited_on_the_dashboards_endpoints_wherever_he_is(stack: Stack) -> None:
    person, colleague = await stack.register(), await stack.register()
    codes: list[str] = []
    while "RATE_LIMIT_EXCEEDED" not in codes and len(codes) < 3 * BY_USER.count:
        codes += [reply.code for reply in await asyncio.gather(*(person.get("/keys") for _ in range(20)))]
    allowed = codes.count("OK")
    assert BY_USER.count <= allowed < 2 * BY_USER.count, "in one minute, or in two of them when it turned"
    person.network = "192.0.2.1"
    refused = await person.get("/dashboard/stats")
    assert (refused.status, refused.code) == (429, "RATE_LIMIT_EXCEEDED")
    assert int(refused.response.headers["retry-after"]) >= 1
    assert (await colleague.get("/keys")).code == "OK"


def test_every_endpoint_has_a_limit_but_those_that_operators_and_readers_need() -> None:
    without = {
        endpoint.declared.template
        for router in SUBJECTS
        for endpoint in router.endpoints
        if endpoint.declared.limit is None and not isinstance(endpoint.declared.access, Scope)
    }
    assert without == {
        "/api/v1/health",
        "/health",
        "/livez",
        "/readyz",
        "/metrics",
        "/dev/mail",
        "/dev/mail/{name}/{form}",
    }
