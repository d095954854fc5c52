"""A newcomer whose answer was lost asks again under the same Idempotency-Key, and nothing is made twice."""

import asyncio
from typing import Any

from tests.stack import Stack
from tests.visitors import PASSWORD, Visitor


def body(email: str, **changes: object) -> dict[str, Any]:
    return {"organization_name": "Blue Heron", "email": email, "password": PASSWORD} | changes


async def test_a_repeated_registration_leads_to_the_first_ones_organization(stack: Stack, visitor: Visitor) -> None:
    email = stack.new_email()
    first = await visitor.post("/auth/register", body(email), Idempotency_Key="a-1")
    again = await visitor.post("/auth/register", body(email.upper()), Idempotency_Key='"a-1"')
    assert (first.status, again.status) == (201, 201)
    assert again.response.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.response.headers
    assert again.data["organization"] == first.data["organization"]
    assert again.data["user"]["id"] == first.data["user"]["id"]
    assert again.data["token"] != first.data["token"]  # none is kept, so a new session is opened
    visitor.token = again.data["token"]
    assert (await visitor.get("/auth/me")).status == 200
    assert stack.rows("select count(*) from tenancy.organizations where email = %s", email) == [(1,)]
    await stack.work()
    assert len([mail for mail in stack.mails(email) if "elcome" in mail.subject]) == 1


async def test_a_further_organization_is_made_once_too(stack: Stack) -> None:
    person = await stack.register("First")
    replies = [
        await stack.visitor().post("/auth/register", body(person.email), Idempotency_Key="b-1") for _ in range(3)
    ]
    assert len({reply.data["organization"]["id"] for reply in replies}) == 1
    other = await stack.visitor().post("/auth/register", body(person.email), Idempotency_Key="b-2")
    assert other.data["organization"]["id"] != replies[0].data["organization"]["id"]


async def test_the_key_alone_opens_nothing(stack: Stack, visitor: Visitor) -> None:
    email, key = stack.new_email(), {"Idempotency_Key": "c-1"}
    assert (await visitor.post("/auth/register", body(email), **key)).status == 201
    guess = await stack.visitor().post("/auth/register", body(email, password="not-the-umbrella-41"), **key)
    assert guess.code == "EMAIL_TAKEN"
    stranger = await stack.visitor().post("/auth/register", body(stack.new_email()), **key)
    assert stranger.status == 201  # another address under the same key is another request
    reused = await visitor.post("/auth/register", body(email, organization_name="Grey Heron"), **key)
    assert (reused.status, reused.code) == (422, "IDEMPOTENCY_KEY_REUSED")
    for wrong in ("", "x" * 256, "a b"):
        reply = await visitor.post("/auth/register", body(email), Idempotency_Key=wrong)
        assert reply.code == "INVALID_REQUEST"


async def test_twins_make_one_organization(stack: Stack) -> None:
    for number in range(10):
        email, key = stack.new_email(), {"Idempotency_Key": f"d-{number}"}
        replies = await asyncio.gather(*(stack.visitor().post("/auth/register", body(email), **key) for _ in range(3)))
        codes = {reply.code for reply in replies}
        assert "OK" in codes
        assert codes <= {"OK", "IDEMPOTENCY_KEY_IN_USE", "EMAIL_TAKEN"}
        assert stack.rows("select count(*) from tenancy.organizations where email = %s", email) == [(1,)]
        assert (await stack.visitor().post("/auth/register", body(email), **key)).status == 201
        assert stack.rows("select count(*) from tenancy.organizations where email = %s", email) == [(1,)]


async def test_an_invitation_accepted_again_under_its_key_is_one_seat(stack: Stack) -> None:
    owner = await stack.register()
    email, token = await stack.invite(owner, "admin")
    accept, key = {"token": token, "password": PASSWORD}, {"Idempotency_Key": "e-1"}
    first = await stack.visitor().post("/team/accept-invitation", accept, **key)
    again = await stack.visitor().post("/team/accept-invitation", accept, **key)
    assert again.data["user"] == first.data["user"]
    assert again.response.headers["Idempotent-Replayed"] == "true"
    path = "/team/accept-invitation"
    assert (await stack.visitor().post(path, accept)).code == "INVALID_TOKEN"
    assert (await stack.visitor().post(path, {"token": token}, **key)).code == "UNAUTHORIZED"
    guess = accept | {"password": "not-the-umbrella-41"}
    assert (await stack.visitor().post(path, guess, **key)).code == "INVALID_CREDENTIALS"
    members = (await owner.get("/team/members")).data["members"]
    assert [member["email"] for member in members].count(email) == 1
    await owner.delete(f"/team/members/{first.data['user']['id']}")
    assert (await stack.visitor().post(path, accept, **key)).code == "NOT_FOUND"


async def test_who_is_logged_in_accepts_again_by_the_session(stack: Stack) -> None:
    person = await stack.register()
    _, token = await stack.invite(await stack.register(), email=person.email)
    replies = [await person.post("/team/accept-invitation", {"token": token}, Idempotency_Key="f-1") for _ in range(2)]
    assert [reply.code for reply in replies] == ["OK", "OK"]
    assert replies[0].data["user"]["id"] == replies[1].data["user"]["id"]


async def test_a_day_later_the_key_is_forgotten(stack: Stack) -> None:
    person = await stack.register()
    first = await stack.visitor().post("/auth/register", body(person.email), Idempotency_Key="g-1")
    stack.clock.turn(days=1, seconds=1)
    try:
        later = await stack.visitor().post("/auth/register", body(person.email), Idempotency_Key="g-1")
    finally:
        stack.clock.ahead *= 0
    assert later.data["organization"]["id"] != first.data["organization"]["id"]
