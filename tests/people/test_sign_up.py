"""Registering and proving a mailbox: what a newcomer does first."""

import asyncio

import pytest

from api.credentials import FREE_FOR_NETWORK
from tests.stack import Stack
from tests.visitors import PASSWORD, Visitor


def registration(email: str, **changes: object) -> dict[str, object]:
    return {"organization_name": "Blue Heron", "email": email, "password": PASSWORD} | changes


async def test_a_registration_makes_organization_owner_session_and_mails(stack: Stack, visitor: Visitor) -> None:
    body = registration("Ada@MTS-Test.com", organization_name="  Blue Heron  ", full_name="Ada Obi")
    reply = await visitor.post("/auth/register", body)
    assert reply.status == 201
    data = reply.data
    assert set(data) == {"user", "organization", "token", "expires_at"}
    assert data["user"] | {"id": 0, "organization_id": 0, "created_at": 0} == {
        "id": 0, "email": "Ada@mts-test.com", "full_name": "Ada Obi", "role": "owner", "organization_id": 0,
        "email_verified": False, "created_at": 0,
    }  # fmt: skip
    assert data["organization"]["name"] == "Blue Heron"
    assert data["organization"]["plan"] == "free"
    assert data["user"]["organization_id"] == data["organization"]["id"]
    visitor.token = data["token"]
    assert (await visitor.get("/auth/me")).data == {"user": data["user"], "organization": data["organization"]}
    await stack.work()
    subjects = sorted(mail.subject for mail in stack.mails("ada@mts-test.com"))
    assert len(subjects) == 2, subjects
    segments = stack.rows(
        "select plan, starts_at from billing.plan_segments where organization_id = %s", data["organization"]["id"]
    )
    assert [plan for plan, _ in segments] == ["free"]


async def test_every_wrong_field_is_named_at_once(visitor: Visitor) -> None:
    reply = await visitor.post("/auth/register", {"email": "nobody", "password": "short", "plan": "pro"})
    assert reply.code == "VALIDATION_ERROR"
    assert {each["field"] for each in reply.error["details"]["errors"]} == {
        "organization_name",
        "email",
        "password",
        "plan",
    }
    assert "short" not in reply.response.text


GUESSED = ["password123", "12345678", "aaaaaaaaaaaaaa", "ada.obi@mts-test.com", "blue heron", "Passw0rd!"]


@pytest.mark.parametrize("password", GUESSED)
async def test_what_guessers_try_first_is_refused_with_a_reason(visitor: Visitor, password: str) -> None:
    reply = await visitor.post("/auth/register", registration("ada.obi@mts-test.com", password=password))
    assert (reply.status, reply.code) == (400, "VALIDATION_ERROR")
    assert reply.error["details"]["field"] == "password"
    assert len(reply.error["details"]["reason"]) > 20
    assert password not in reply.response.text


@pytest.mark.parametrize(
    "password",
    [
        "pässwörter sind schön",
        "密码安全第一条规则",
        "🦉🦜🦩🐦🦚🦆🦢🦅",
        "a fairly long sentence, typed by hand, of 72 bytes and more, with Å in it" + "y" * 400 + "end",
        "tab\tand\nline break",
    ],
)
async def test_any_unicode_of_any_length_is_a_password_and_none_of_it_is_cut(stack: Stack, password: str) -> None:
    person = await stack.register(verified=False, password=password)
    visitor = stack.visitor()
    assert (await visitor.post("/auth/login", {"email": person.email, "password": password})).status == 200
    cut = await visitor.post("/auth/login", {"email": person.email, "password": password[:-1]})
    assert cut.code == "INVALID_CREDENTIALS"


async def test_a_password_is_the_same_however_it_is_composed(stack: Stack, visitor: Visitor) -> None:
    person = await stack.register(verified=False, password="schöne ﬁlme gucken")
    decomposed = {"email": person.email, "password": "scho\u0308ne filme gucken"}
    assert (await visitor.post("/auth/login", decomposed)).status == 200


async def test_an_endless_password_is_a_wrong_field(visitor: Visitor) -> None:
    for path, body in [("/auth/register", registration("long@mts-test.com", password="x" * 2000)),
                       ("/auth/login", {"email": "long@mts-test.com", "password": "x" * 2000})]:  # fmt: skip
        assert (await visitor.post(path, body)).code == "VALIDATION_ERROR"


async def test_an_internationalized_address_is_an_address(stack: Stack, visitor: Visitor) -> None:
    assert (await visitor.post("/auth/register", registration("grüße@bücher.com"))).status == 201
    same = {"email": "GRÜSSE@xn--bcher-kva.com", "password": PASSWORD}
    assert (await visitor.post("/auth/login", same)).code == "INVALID_CREDENTIALS"
    same = {"email": "GRÜßE@xn--bcher-kva.com", "password": PASSWORD}
    assert (await visitor.post("/auth/login", same)).data["user"]["email"] == "grüße@bücher.com"


async def test_a_taken_address_is_told_and_its_owner_is_told_once_a_day(stack: Stack) -> None:
    person = await stack.register()
    for _ in range(2):
        body = registration(person.email.upper(), password="another-umbrella-43")
        reply = await stack.visitor().post("/auth/register", body)
        assert (reply.status, reply.code) == (409, "EMAIL_TAKEN")
    await stack.work()
    assert len(stack.mails(person.email)) == 3  # welcome, verification, and one notice
    assert stack.rows("select count(*) from tenancy.users where lower(email) = %s", person.email) == [(1,)]


async def test_the_right_password_makes_another_organization(stack: Stack, visitor: Visitor) -> None:
    person = await stack.register("First")
    reply = await visitor.post("/auth/register", registration(person.email, organization_name="Second"))
    assert reply.status == 201
    assert reply.data["organization"]["name"] == "Second"
    assert reply.data["user"]["email_verified"] is True
    logged_in = (await visitor.post("/auth/login", {"email": person.email, "password": PASSWORD})).data
    assert {each["name"] for each in logged_in["organizations"]} == {"First", "Second"}


async def test_two_registrations_of_one_address_make_one_account(stack: Stack) -> None:
    for _ in range(10):
        email = stack.new_email()
        bodies = [registration(email, password=f"violet-umbrella-{number}") for number in range(4)]
        replies = await asyncio.gather(*(stack.visitor().post("/auth/register", body) for body in bodies))
        assert sorted(reply.code for reply in replies) == ["EMAIL_TAKEN", "EMAIL_TAKEN", "EMAIL_TAKEN", "OK"]
        assert stack.rows("select count(*) from identity.accounts where email_key = %s", email) == [(1,)]
        assert stack.rows("select count(*) from tenancy.organizations where email = %s", email) == [(1,)]


async def test_a_mailbox_is_proven_once_by_its_token(stack: Stack) -> None:
    person = await stack.register(verified=False)
    await stack.work()
    token = stack.token_for(person.email, "/verify-email")
    reply = await stack.visitor().post("/auth/verify-email", {"token": token})
    assert reply.data["email"] == person.email
    assert reply.data["email_verified"] is True
    assert reply.data["verified_at"].endswith("Z")
    assert (await person.get("/auth/me")).data["user"]["email_verified"] is True
    again = await stack.visitor().post("/auth/verify-email", {"token": token})
    assert (again.status, again.code) == (401, "INVALID_TOKEN")
    assert (await person.post("/auth/request-email-verification")).code == "ALREADY_VERIFIED"


async def test_a_token_used_twice_at_once_is_used_once(stack: Stack) -> None:
    for _ in range(5):
        person = await stack.register(verified=False)
        await stack.work()
        body = {"token": stack.token_for(person.email, "/verify-email")}
        replies = await asyncio.gather(*(stack.visitor().post("/auth/verify-email", body) for _ in range(5)))
        assert sorted(reply.code for reply in replies) == ["INVALID_TOKEN"] * 4 + ["OK"]


async def test_a_newer_token_voids_the_older(stack: Stack) -> None:
    person = await stack.register(verified=False)
    await stack.work()
    older = stack.token_for(person.email, "/verify-email")
    assert (await person.post("/auth/request-email-verification")).status == 200
    await stack.work()
    newer = stack.token_for(person.email, "/verify-email")
    assert newer != older
    assert (await person.post("/auth/verify-email", {"token": older})).code == "INVALID_TOKEN"
    assert (await person.post("/auth/verify-email", {"token": newer})).status == 200


async def test_verification_mails_have_a_limit(stack: Stack) -> None:
    person = await stack.register(verified=False)
    codes = [(await person.post("/auth/request-email-verification")).code for _ in range(6)]
    assert codes == ["OK"] * 5 + ["RATE_LIMIT_EXCEEDED"]


async def test_a_verification_token_expires_after_a_day(stack: Stack) -> None:
    person = await stack.register(verified=False)
    await stack.work()
    token = stack.token_for(person.email, "/verify-email")
    stack.clock.turn(hours=24, seconds=1)
    assert (await stack.visitor().post("/auth/verify-email", {"token": token})).code == "INVALID_TOKEN"
    stack.clock.turn(seconds=-2)
    assert (await stack.visitor().post("/auth/verify-email", {"token": token})).status == 200
    stack.clock.turn(hours=-24, seconds=1)


async def test_a_token_opens_only_what_it_was_made_for(stack: Stack) -> None:
    person = await stack.register(verified=False)
    await stack.visitor().post("/auth/request-password-reset", {"email": person.email})
    await stack.work()
    verification = stack.token_for(person.email, "/verify-email")
    reset = stack.token_for(person.email, "/reset-password")
    visitor = stack.visitor()
    assert (await visitor.post("/auth/verify-email", {"token": reset})).code == "INVALID_TOKEN"
    swapped = {"token": verification, "new_password": "another-umbrella-43"}
    assert (await visitor.post("/auth/reset-password", swapped)).code == "INVALID_TOKEN"
    assert (await visitor.post("/team/decline-invitation", {"token": reset})).code == "INVALID_TOKEN"
    assert (await visitor.post("/auth/verify-email", {"token": "no-token-of-ours"})).code == "INVALID_TOKEN"
    assert (await visitor.post("/auth/verify-email", {"token": verification})).status == 200


async def test_probing_for_addresses_by_registering_is_slowed_down_by_network(stack: Stack, visitor: Visitor) -> None:
    codes = []
    for _ in range(FREE_FOR_NETWORK + 1):
        known = await stack.register(verified=False)
        codes.append((await visitor.post("/auth/register", registration(known.email, password="a-guess-of-43"))).code)
    assert codes == ["EMAIL_TAKEN"] * FREE_FOR_NETWORK + ["TOO_MANY_ATTEMPTS"]


async def test_opening_the_links_in_our_mail_uses_nothing_up(stack: Stack) -> None:
    """Scanners of mail follow every link: only what a person sends from the page counts."""
    owner = await stack.register(verified=False)
    await stack.visitor().post("/auth/request-password-reset", {"email": owner.email})
    await stack.work()
    verification, reset = (stack.token_for(owner.email, path) for path in ("/verify-email", "/reset-password"))
    await _open(stack, "/verify-email", verification)
    assert (await owner.post("/auth/verify-email", {"token": verification})).status == 200
    invited, invitation = await stack.invite(owner)
    await _open(stack, "/reset-password", reset)
    await _open(stack, "/accept-invitation", invitation)
    body = {"token": reset, "new_password": "another-umbrella-43"}
    assert (await stack.visitor().post("/auth/reset-password", body)).status == 200
    joined = await stack.visitor().post("/team/accept-invitation", {"token": invitation, "password": PASSWORD})
    assert joined.data["user"]["email"] == invited


async def _open(stack: Stack, path: str, token: str) -> None:
    for method in ("GET", "HEAD", "GET"):
        assert (await stack.http.request(method, path, params={"token": token})).status_code == 200
