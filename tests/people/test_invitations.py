"""Invitations: one answer each, never worth more than their sender, never a session for an account by themselves."""

import asyncio

import pytest

from db import invitations
from tests.stack import Stack
from tests.visitors import PASSWORD, Person


async def accept(stack: Stack, token: str, **body: object) -> tuple[int, str]:
    reply = await stack.visitor().post("/team/accept-invitation", {"token": token} | body)
    return reply.status, reply.code


async def test_a_new_person_joins_with_a_password_and_a_proven_mailbox(stack: Stack) -> None:
    owner = await stack.register("Blue Heron")
    reply = await owner.post("/team/invite", {"email": (email := stack.new_email()), "role": "admin"})
    assert reply.status == 201
    assert set(reply.data) == {"invitation_id", "email", "role", "expires_at"}
    await stack.work()
    token = stack.token_for(email, "/accept-invitation")
    assert await accept(stack, token) == (400, "VALIDATION_ERROR")
    assert await accept(stack, token, password="password123") == (400, "VALIDATION_ERROR")
    body = {"token": token, "password": PASSWORD, "full_name": "Chidi Eze"}
    data = (await stack.visitor().post("/team/accept-invitation", body)).data
    assert (data["user"]["role"], data["user"]["email_verified"], data["user"]["full_name"]) == (
        "admin",
        True,
        "Chidi Eze",
    )
    assert data["organization"]["name"] == "Blue Heron"
    joined = stack.visitor()
    joined.token = data["token"]
    assert (await joined.get("/auth/me")).data["user"]["email"] == email
    assert await accept(stack, token, password=PASSWORD) == (401, "INVALID_TOKEN")


async def test_an_account_joins_with_its_password_or_its_session_and_never_by_the_link_alone(stack: Stack) -> None:
    person, stranger = await stack.register(), await stack.register()
    _, token = await stack.invite(await stack.register(), email=person.email)
    assert await accept(stack, token) == (401, "UNAUTHORIZED")
    assert await accept(stack, token, password="not-the-umbrella-41") == (401, "INVALID_CREDENTIALS")
    assert (await stranger.post("/team/accept-invitation", {"token": token})).code == "UNAUTHORIZED"
    assert (await person.post("/team/accept-invitation", {"token": token})).status == 200
    _, token = await stack.invite(await stack.register(), email=person.email.upper())
    assert await accept(stack, token, password=PASSWORD) == (200, "OK")
    login = (await stack.visitor().post("/auth/login", {"email": person.email, "password": PASSWORD})).data
    assert len(login["organizations"]) == 3


async def test_an_ended_session_does_not_accept(stack: Stack) -> None:
    person = await stack.register()
    _, token = await stack.invite(await stack.register(), email=person.email)
    await person.post("/auth/logout")
    assert (await person.post("/team/accept-invitation", {"token": token})).code == "INVALID_TOKEN"
    assert await accept(stack, token, password=PASSWORD) == (200, "OK")


async def test_inviting_needs_a_proven_mailbox(stack: Stack) -> None:
    owner = await stack.register(verified=False)
    reply = await owner.post("/team/invite", {"email": stack.new_email(), "role": "member"})
    assert (reply.status, reply.code) == (403, "EMAIL_NOT_VERIFIED")


@pytest.mark.parametrize(
    "body", [{"role": "owner"}, {"role": "boss"}, {"email": "nobody"}, {"email": None}, {"extra": 1}]
)
async def test_a_wrong_invitation_is_refused_by_field(stack: Stack, body: dict[str, object]) -> None:
    owner = await stack.register()
    reply = await owner.post("/team/invite", {"email": stack.new_email(), "role": "member"} | body)
    assert reply.code == "VALIDATION_ERROR"
    assert reply.error["details"]["field"] in body


async def test_members_and_the_invited_are_not_invited_again(stack: Stack) -> None:
    owner = await stack.register()
    member = await stack.join(owner)
    for email in (owner.email, member.email.upper()):
        assert (await owner.post("/team/invite", {"email": email})).code == "USER_EXISTS"
    email, _ = await stack.invite(owner)
    assert (await owner.post("/team/invite", {"email": email.upper()})).code == "INVITATION_EXISTS"


async def test_ten_invitations_of_one_address_at_once_are_one(stack: Stack) -> None:
    owner = await stack.register()
    body = {"email": stack.new_email()}
    replies = await asyncio.gather(*(owner.post("/team/invite", body) for _ in range(10)))
    assert sorted(reply.code for reply in replies) == ["INVITATION_EXISTS"] * 9 + ["OK"]


async def test_an_invitation_expires_after_seven_days_and_then_blocks_nobody(stack: Stack) -> None:
    owner = await stack.register()
    email, token = await stack.invite(owner)
    stack.clock.turn(days=7, seconds=1)
    try:
        owner.token = (await owner.post("/auth/login", {"email": owner.email, "password": PASSWORD})).data["token"]
        assert (await owner.get("/team/members")).data["total_pending"] == 0
        assert await accept(stack, token, password=PASSWORD) == (401, "INVALID_TOKEN")
        _, newer = await stack.invite(owner, email=email)
        assert await accept(stack, token, password=PASSWORD) == (401, "INVALID_TOKEN")
        assert await accept(stack, newer, password=PASSWORD) == (200, "OK")
    finally:
        stack.clock.ahead *= 0


async def test_resending_voids_the_former_link_and_revives_an_expired_one(stack: Stack) -> None:
    owner = await stack.register()
    email, older = await stack.invite(owner)
    (pending,) = (await owner.get("/team/members")).data["pending_invitations"]
    stack.clock.turn(days=8)
    try:
        owner.token = (await owner.post("/auth/login", {"email": owner.email, "password": PASSWORD})).data["token"]
        assert (await owner.post(f"/team/invitations/{pending['id']}/resend")).status == 200
        await stack.work()
        newer = stack.token_for(email, "/accept-invitation")
        assert newer != older
        assert await accept(stack, older, password=PASSWORD) == (401, "INVALID_TOKEN")
        assert await accept(stack, newer, password=PASSWORD) == (200, "OK")
        assert (await owner.post(f"/team/invitations/{pending['id']}/resend")).code == "NOT_FOUND"
    finally:
        stack.clock.ahead *= 0


async def test_resending_has_a_limit(stack: Stack) -> None:
    owner = await stack.register()
    made = (await owner.post("/team/invite", {"email": stack.new_email()})).data["invitation_id"]
    codes = [(await owner.post(f"/team/invitations/{made}/resend")).code for _ in range(invitations.MAILS_EACH)]
    assert codes == ["OK"] * (invitations.MAILS_EACH - 1) + ["RATE_LIMIT_EXCEEDED"]


async def test_a_day_has_a_cap_of_invitation_mails(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MAILS_A_DAY", 3)
    owner = await stack.register()
    replies = [await owner.post("/team/invite", {"email": stack.new_email()}) for _ in range(4)]
    assert [reply.code for reply in replies] == ["OK"] * 3 + ["RATE_LIMIT_EXCEEDED"]


async def test_a_cancelled_and_a_declined_invitation_open_nothing(stack: Stack) -> None:
    owner = await stack.register()
    _, cancelled = await stack.invite(owner)
    (pending,) = (await owner.get("/team/members")).data["pending_invitations"]
    assert (await owner.delete(f"/team/invitations/{pending['id']}")).status == 200
    assert (await owner.delete(f"/team/invitations/{pending['id']}")).code == "NOT_FOUND"
    email, declined = await stack.invite(owner)
    assert (await stack.visitor().post("/team/decline-invitation", {"token": declined})).status == 200
    for token in (cancelled, declined):
        assert await accept(stack, token, password=PASSWORD) == (401, "INVALID_TOKEN")
        assert (await stack.visitor().post("/team/decline-invitation", {"token": token})).code == "INVALID_TOKEN"
    assert (await owner.get("/team/members")).data["total_pending"] == 0
    assert (await owner.post("/team/invite", {"email": email})).status == 201


async def test_two_accepts_of_one_token_make_one_seat(stack: Stack) -> None:
    owner = await stack.register()
    for number in range(15):
        _, token = await stack.invite(owner)
        results = await asyncio.gather(*(accept(stack, token, password=PASSWORD) for _ in range(3)))
        assert [code for _, code in results].count("OK") == 1
        assert (await owner.get("/team/members")).data["total_members"] == number + 2


async def test_one_account_joins_several_organizations_at_once(stack: Stack) -> None:
    person = await stack.register()
    tokens = [(await stack.invite(await stack.register(), email=person.email))[1] for _ in range(5)]
    results = await asyncio.gather(*(accept(stack, token, password=PASSWORD) for token in tokens[:3]))
    assert results == [(200, "OK")] * 3
    replies = await asyncio.gather(*(person.post("/team/accept-invitation", {"token": token}) for token in tokens[3:]))
    assert [reply.code for reply in replies] == ["OK"] * 2


async def test_accepting_and_cancelling_at_once_have_one_outcome(stack: Stack) -> None:
    owner = await stack.register()
    for _ in range(8):
        email, token = await stack.invite(owner)
        (pending,) = (await owner.get("/team/members")).data["pending_invitations"]
        (_, accepted), cancelled = await asyncio.gather(
            accept(stack, token, password=PASSWORD), owner.delete(f"/team/invitations/{pending['id']}")
        )
        assert (accepted == "OK") != (cancelled.code == "OK")
        members = [each["email"] for each in (await owner.get("/team/members")).data["members"]]
        assert (email in members) == (accepted == "OK")


async def test_an_invitation_is_worth_no_more_than_its_sender_is_now(stack: Stack) -> None:
    owner = await stack.register()
    admin = await stack.join(owner, "admin")
    _, token = await stack.invite(admin, "admin")
    await owner.put(f"/team/members/{admin.user['id']}/role", {"role": "member"})
    joined = await stack.visitor().post("/team/accept-invitation", {"token": token, "password": PASSWORD})
    assert joined.data["user"]["role"] == "member"


async def test_the_invitations_of_a_removed_member_are_void(stack: Stack) -> None:
    owner = await stack.register()
    admin = await stack.join(owner, "admin")
    _, token = await stack.invite(admin)
    await owner.delete(f"/team/members/{admin.user['id']}")
    assert await accept(stack, token, password=PASSWORD) == (401, "INVALID_TOKEN")
    assert (await owner.get("/team/members")).data["total_pending"] == 0


async def test_an_idempotent_invitation_is_sent_once(stack: Stack) -> None:
    owner: Person = await stack.register()
    body = {"email": stack.new_email(), "role": "member"}
    first = await owner.post("/team/invite", body, Idempotency_Key="invite-1")
    again = await owner.post("/team/invite", body, Idempotency_Key="invite-1")
    assert first.response.content == again.response.content
    assert again.response.headers["Idempotent-Replayed"] == "true"
    await stack.work()
    assert len(stack.mails(body["email"])) == 1
