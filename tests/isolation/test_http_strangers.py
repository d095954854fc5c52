"""Over HTTP another organization's things do not exist: the same answer as for an id that never was, and nothing leaks.

The endpoints and what can be named at them come from the application's registrations. A new path parameter or a new
field that holds an id has no value in `houses.py` and fails here until it gets one.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api import tokens
from api.endpoint import Endpoint
from api.permissions import SIGNED
from db.types import AccountId, OrganizationId, SessionId, UserId, new_id
from tests.isolation.asking import ask, foreign, seen
from tests.isolation.houses import House, beside, like
from tests.isolation.inputs import ENDPOINTS, INPUTS, Input, kind_of, name_of
from tests.isolation.strangers import World, opened, untouched
from tests.servers import Urls

pytestmark = pytest.mark.timeout(120)

# Says nothing of an organization: the name of a kind of mail, shown in development alone.
NO_TENANTS = {"GET /dev/mail/{name}/{form}"}
# The body is the provider's own signed word and is read by no type of ours; tests/money and tests/jobs turn it around.
SIGNED_WORDS = {"POST /api/v1/webhooks/stripe", "POST /api/v1/webhooks/paystack", "POST /api/v1/webhooks/mail"}
NAMED = [each for each in INPUTS if name_of(each.endpoint) not in NO_TENANTS]
SEATS = [each for each in ENDPOINTS if kind_of(each) == "seat"]
# A payment needs a provider, which is not here: tests/money tries its keys.
IDEMPOTENT = [
    each for each in ENDPOINTS if each.declared.idempotent and not each.declared.template.endswith("/initiate-payment")
]


@pytest.fixture(scope="module")
async def world(urls: Urls, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The running product with both organizations in it."""
    async with opened(urls, redis_url, tmp_path_factory.mktemp("strangers"), log_level="info") as world:
        yield world


def test_every_signed_body_is_known() -> None:
    raw = {name_of(each) for each in ENDPOINTS if each.declared.access is SIGNED and not each.types.path}
    assert raw == SIGNED_WORDS


@pytest.mark.parametrize("named", NAMED, ids=str)
async def test_what_is_anothers_was_never_there(world: World, named: Input, capfd: pytest.CaptureFixture[str]) -> None:
    with untouched(world, capfd):
        for value in foreign(named, world.victim):
            nobodys = beside(value) if named.name == "cursor" and _is_cursor_of(value) else like(value)
            unknown = await ask(world.stack.http, named.endpoint, world.attacker, {named.name: nobodys})
            strange = await ask(world.stack.http, named.endpoint, world.attacker, {named.name: value})
            assert strange.status_code < 500, strange.text
            assert seen(strange, value) == seen(unknown, nobodys)
            assert not world.leaks(str(seen(strange, value)))


def _is_cursor_of(value: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_-]{32}", value) is not None


@pytest.mark.parametrize("endpoint", SEATS, ids=name_of)
async def test_a_session_does_not_open_another_organization(
    world: World, endpoint: Endpoint, capfd: pytest.CaptureFixture[str]
) -> None:
    """Signed by us, but of no session that there is: the attacker's in the victim's organization, and the reverse.

    The log says which organization such a token claims; it reaches nobody but the operator.
    """
    with untouched(world, capfd, world.victim.organization_id):
        for session in crossed(world):
            answers = [
                await ask(world.stack.http, endpoint, world.attacker, {}, token=token)
                for token in (session, nobodys_session(world))
            ]
            assert seen(answers[0]) == seen(answers[1])
            assert answers[0].status_code in (303, 401), answers[0].text
            assert not world.leaks(answers[0].text)


def crossed(world: World) -> list[str]:
    """Tokens that mix the claims of both organizations."""
    own, other = (tokens.read(world.stack.settings, str(house.owner.token), world.stack.clock.now())
                  for house in (world.attacker, world.victim))  # fmt: skip
    return [
        token_of(world, own.account_id, UserId(new_id()), other.organization_id, own.session_id),
        token_of(world, own.account_id, other.user_id, other.organization_id, own.session_id),
        token_of(world, own.account_id, own.user_id, own.organization_id, other.session_id),
        token_of(world, other.account_id, other.user_id, other.organization_id, own.session_id),
    ]


def nobodys_session(world: World) -> str:
    return token_of(world, AccountId(new_id()), UserId(new_id()), OrganizationId(new_id()), SessionId(new_id()))


def token_of(
    world: World, account_id: AccountId, user_id: UserId, organization_id: OrganizationId, session_id: SessionId
) -> str:
    token, _ = tokens.issue(
        world.stack.settings, account_id=account_id, user_id=user_id, organization_id=organization_id,
        session_id=session_id, now=world.stack.clock.now(),
    )  # fmt: skip
    return token


@pytest.mark.parametrize("endpoint", [each for each in ENDPOINTS if kind_of(each) == "key"], ids=name_of)
async def test_an_api_key_that_is_nearly_anothers_is_unknown(
    world: World, endpoint: Endpoint, capfd: pytest.CaptureFixture[str]
) -> None:
    def with_key(key: str) -> House:
        return House(world.attacker.owner, world.attacker.member, key, world.attacker.values, world.attacker.words)

    near = world.victim.key[:-1] + ("A" if world.victim.key[-1] != "A" else "B")
    nobodys = world.victim.key[:8] + like(world.victim.key[8:]).replace("-", "A").replace("_", "A")
    with untouched(world, capfd):
        strange, unknown = [await ask(world.stack.http, endpoint, with_key(key), {}) for key in (near, nobodys)]
        assert seen(strange) == seen(unknown)
        assert strange.status_code == 401


@pytest.mark.parametrize("endpoint", IDEMPOTENT, ids=name_of)
async def test_an_idempotency_key_is_ones_own(
    world: World, endpoint: Endpoint, capfd: pytest.CaptureFixture[str]
) -> None:
    used, fresh = f"key-{new_id()}", f"key-{new_id()}"
    victims, one, other = await asyncio.gather(*[_spend(world, name_of(endpoint)) for _ in range(3)])
    first = await ask(world.stack.http, endpoint, victims, {}, more=_body(endpoint), Idempotency_Key=used)
    assert first.is_success, first.text
    strange = await ask(world.stack.http, endpoint, one, {}, more=_body(endpoint), Idempotency_Key=used)
    unknown = await ask(world.stack.http, endpoint, other, {}, more=_body(endpoint), Idempotency_Key=fresh)
    assert shape(strange) == shape(unknown)
    assert not {name for name in victims.words if name in strange.text}
    assert victims.organization_id not in strange.text


def _body(endpoint: Endpoint) -> dict[str, Any]:
    """The same shape each time, with new addresses, so that a second call is not refused for another reason."""
    address = f"x-{new_id().hex}@mts-test.com"
    return {key: address for key in ("email", "recipient") if key in (endpoint.types.body.model_fields)}


async def _spend(world: World, word: str) -> House:
    """A small organization of its own."""
    name = f"w{new_id().hex}"
    owner = await world.stack.register(f"{name} Spending", verified=False)
    world.stack.rows(
        "update identity.accounts set email_verified_at = now() where email = %s returning id", owner.email
    )
    key = (await owner.post("/keys", {"name": name})).data
    return House(owner, owner, key["key"], {"key_id": [key["id"]]}, [name, owner.email])


def shape(answer: httpx.Response) -> tuple[int, list[str], Any]:
    """Status, the names of headers, and the body with every value replaced by its type."""

    def of(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: of(each) for name, each in value.items()}
        return type(value).__name__

    return answer.status_code, sorted(answer.headers), of(json.loads(answer.text))


@pytest.mark.parametrize("endpoint", [each for each in ENDPOINTS if each.declared.method == "GET"], ids=name_of)
async def test_what_one_reads_of_ones_own_holds_nothing_of_anothers(
    world: World, endpoint: Endpoint, capfd: pytest.CaptureFixture[str]
) -> None:
    with untouched(world, capfd):
        answer = await ask(world.stack.http, endpoint, world.attacker, {})
        assert answer.status_code < 500, answer.text
        assert not world.leaks(answer.text + str(answer.headers))
