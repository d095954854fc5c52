"""Logging in: the same answer to every stranger, growing delays for guesses, nobody locked out."""

import asyncio
import time

import bcrypt
import redis.asyncio
from pydantic import SecretStr

from api.credentials import FREE_FOR_ACCOUNT, FREE_FOR_NETWORK
from db.attempts import Attempts, Subject
from db.counters import Counters
from db.errors import TooMany
from db.passwords import Passwords
from tests.stack import Stack, serving
from tests.visitors import PASSWORD, Visitor

WRONG = "not-the-umbrella-41"


async def test_a_log_in_answers_with_user_token_and_all_organizations(stack: Stack, visitor: Visitor) -> None:
    person = await stack.register("Acme")
    data = (await visitor.post("/auth/login", {"email": person.email.upper(), "password": PASSWORD})).data
    assert set(data) == {"user", "organization", "token", "expires_at", "organizations"}
    assert data["user"]["id"] == person.user["id"]
    assert data["organizations"] == [
        {"id": person.organization["id"], "name": "Acme", "role": "owner", "status": "active"}
    ]
    visitor.token = data["token"]
    assert (await visitor.get("/auth/me")).status == 200


async def test_unknown_and_wrong_are_answered_alike(stack: Stack) -> None:
    person = await stack.register(verified=False)
    known = await stack.visitor().post("/auth/login", {"email": person.email, "password": WRONG})
    unknown = await stack.visitor().post("/auth/login", {"email": stack.new_email(), "password": WRONG})
    assert known.status == unknown.status == 401
    same = ("code", "message", "details")
    assert [known.error[name] for name in same] == [unknown.error[name] for name in same]
    assert known.code == "INVALID_CREDENTIALS"


async def test_unknown_and_wrong_cost_the_same_work() -> None:
    passwords = Passwords(8)
    stored = await passwords.hash(PASSWORD)
    ratios = []
    for _ in range(15):
        started = time.perf_counter()
        assert not await passwords.matches(WRONG, stored)
        known = time.perf_counter()
        assert not await passwords.matches(WRONG, None)
        ratios.append((time.perf_counter() - known) / (known - started))
    passwords.close()
    assert 0.5 < sorted(ratios)[len(ratios) // 2] < 2


async def test_the_wanted_organization_is_chosen_else_the_last_used(stack: Stack, visitor: Visitor) -> None:
    person = await stack.register("First")
    second = (await visitor.post(
        "/auth/register", {"organization_name": "Second", "email": person.email, "password": PASSWORD}
    )).data["organization"]  # fmt: skip
    body = {"email": person.email, "password": PASSWORD}
    wanted = await visitor.post("/auth/login", body | {"organization_id": person.organization["id"]})
    assert wanted.data["organization"]["name"] == "First"
    assert (await visitor.post("/auth/login", body)).data["organization"]["name"] == "First"
    await visitor.post("/auth/login", body | {"organization_id": second["id"]})
    assert (await visitor.post("/auth/login", body)).data["organization"]["name"] == "Second"
    foreign = (await stack.register(verified=False)).organization["id"]
    assert (await visitor.post("/auth/login", body | {"organization_id": foreign})).code == "NOT_FOUND"


async def test_a_suspended_organization_is_not_entered(stack: Stack, visitor: Visitor) -> None:
    person = await stack.register()
    change = "update identity.organization_directory set status = %s where organization_id = %s returning 1"
    stack.rows(change, "suspended", person.organization["id"])
    body = {"email": person.email, "password": PASSWORD}
    assert (await visitor.post("/auth/login", body)).code == "ORGANIZATION_SUSPENDED"
    assert (await person.get("/auth/me")).code == "ORGANIZATION_SUSPENDED"
    stack.rows(change, "active", person.organization["id"])
    assert (await person.get("/auth/me")).status == 200


async def test_guesses_wait_longer_and_longer_and_the_right_password_forgives(stack: Stack) -> None:
    person = await stack.register(verified=False)

    async def attempt(password: str) -> tuple[str, int]:
        reply = await stack.visitor().post("/auth/login", {"email": person.email, "password": password})
        return reply.code, int(reply.response.headers.get("Retry-After", 0))

    for _ in range(FREE_FOR_ACCOUNT):
        assert await attempt(WRONG) == ("INVALID_CREDENTIALS", 0)
    assert await attempt(PASSWORD) == ("TOO_MANY_ATTEMPTS", 1)
    await _let_pass(stack, person.email)
    assert await attempt(WRONG) == ("INVALID_CREDENTIALS", 0)
    assert await attempt(PASSWORD) == ("TOO_MANY_ATTEMPTS", 2)
    await _let_pass(stack, person.email)
    assert await attempt(PASSWORD) == ("OK", 0)
    assert [await attempt(WRONG) for _ in range(FREE_FOR_ACCOUNT)] == [("INVALID_CREDENTIALS", 0)] * FREE_FOR_ACCOUNT


async def test_a_thousand_guesses_at_once_are_a_thousand_guesses(stack: Stack) -> None:
    person = await stack.register(verified=False)
    body = {"email": person.email, "password": WRONG}
    replies = await asyncio.gather(*(stack.visitor().post("/auth/login", body) for _ in range(60)))
    codes = [reply.code for reply in replies]
    assert codes.count("INVALID_CREDENTIALS") <= FREE_FOR_ACCOUNT + 1
    assert set(codes) == {"INVALID_CREDENTIALS", "TOO_MANY_ATTEMPTS"}


async def test_a_browser_that_was_logged_in_before_does_not_wait_for_a_strangers_guesses(stack: Stack) -> None:
    person, stranger = await stack.register(verified=False), stack.visitor()
    assert (await person.post("/auth/login", {"email": person.email, "password": PASSWORD})).status == 200
    for _ in range(FREE_FOR_ACCOUNT + 1):
        await stranger.post("/auth/login", {"email": person.email, "password": WRONG})
    body = {"email": person.email, "password": PASSWORD}
    assert (await stack.visitor().post("/auth/login", body)).code == "TOO_MANY_ATTEMPTS"
    assert (await person.post("/auth/login", body)).code == "OK"
    forged = stack.visitor()
    forged.cookies.set("mts_device", "stolen." + "0" * 64)
    assert (await forged.post("/auth/login", body)).code == "TOO_MANY_ATTEMPTS"


async def test_a_network_that_guesses_at_many_accounts_waits_too(stack: Stack, visitor: Visitor) -> None:
    for _ in range(FREE_FOR_NETWORK):
        reply = await visitor.post("/auth/login", {"email": stack.new_email(), "password": WRONG})
        assert reply.code == "INVALID_CREDENTIALS"
    neighbour = stack.visitor()
    neighbour.network = visitor.network.rpartition(".")[0] + ".99"
    assert (
        await neighbour.post("/auth/login", {"email": stack.new_email(), "password": WRONG})
    ).code == "TOO_MANY_ATTEMPTS"
    reply = await stack.visitor().post("/auth/login", {"email": stack.new_email(), "password": WRONG})
    assert reply.code == "INVALID_CREDENTIALS"


async def test_without_redis_attempts_are_counted_in_postgres_alike(stack: Stack) -> None:
    away = Counters("redis://127.0.0.1:9/0")
    attempts = Attempts(stack.resources.database, away, stack.clock)
    subject = Subject(f"account:{stack.new_email()}", FREE_FOR_ACCOUNT)
    waits = []
    for _ in range(12):
        waits.append(await _wait_of(attempts, subject))
        stack.clock.turn(seconds=waits[-1])
    assert [wait for wait in waits if wait] == [1, 2, 4, 8, 16]
    stack.clock.turn(hours=2)
    assert await _wait_of(attempts, subject) == 0
    await attempts.succeeded(subject, forget_failures=True)
    assert [await _wait_of(attempts, subject) for _ in range(FREE_FOR_ACCOUNT)] == [0] * FREE_FOR_ACCOUNT
    assert stack.rows("select count(*) from identity.attempts where octet_length(subject) = 32") != [(0,)]
    stack.clock.ahead *= 0
    await away.close()


async def test_a_hash_of_another_cost_is_renewed_at_log_in(stack: Stack) -> None:
    person = await stack.register(verified=False)
    body = {"email": person.email, "password": PASSWORD}
    old = stack.resources.passwords
    stack.resources.passwords = Passwords(5)
    try:
        assert (await stack.visitor().post("/auth/login", body)).status == 200
        (stored,) = stack.rows("select password_hash from identity.accounts where email_key = %s", person.email)[0]
        assert stored.startswith("$2b$05$")
        assert (await stack.visitor().post("/auth/login", body)).status == 200
    finally:
        stack.resources.passwords.close()
        stack.resources.passwords = old


async def test_more_log_ins_than_can_wait_are_told_to_come_again(stack: Stack) -> None:
    slow = Passwords(10)
    stored = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()
    results = await asyncio.gather(*(slow.matches(WRONG, stored) for _ in range(50)), return_exceptions=True)
    slow.close()
    refused = [each for each in results if isinstance(each, Exception)]
    assert len(refused) == 50 - 34
    assert {getattr(each, "code", "") for each in refused} == {"SERVICE_UNAVAILABLE"}


async def _wait_of(attempts: Attempts, subject: Subject) -> int:
    try:
        await attempts.take(subject)
    except TooMany as refusal:
        return refusal.retry_after
    return 0


async def _let_pass(stack: Stack, email: str) -> None:
    """What the passing of the wait does: the next attempt is due now."""
    subject = Subject(f"account:{email}", 0)
    async with redis.asyncio.Redis.from_url(stack.settings.redis_url.get_secret_value()) as stored:
        await stored.hset(f"attempts:{{{subject.digest.hex()}}}", "next_at", "0")


async def test_without_redis_people_log_in_and_guessers_wait(stack: Stack) -> None:
    person = await stack.register(verified=False)
    away = stack.settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:9/0")})
    async with serving(away, stack.clock) as (http, _):
        for _ in range(FREE_FOR_ACCOUNT):
            reply = await stack.visitor(http).post("/auth/login", {"email": person.email, "password": WRONG})
            assert reply.code == "INVALID_CREDENTIALS"
        body = {"email": person.email, "password": PASSWORD}
        assert (await stack.visitor(http).post("/auth/login", body)).code == "TOO_MANY_ATTEMPTS"
        stack.clock.turn(seconds=2)
        assert (await stack.visitor(http).post("/auth/login", body)).code == "OK"
        stack.clock.ahead *= 0
