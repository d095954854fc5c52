"""Asks any registered endpoint as somebody, with one thing named, and tells two answers apart as a stranger could."""

import re
from typing import Any
from uuid import UUID

import httpx

from api.declaration import Declaration
from api.endpoint import Endpoint
from jobs.providers.twilio import sign
from tests.isolation.houses import House
from tests.isolation.inputs import Input, inputs, is_page, kind_of, required
from tests.networks import new_network
from tests.stack import BASE_URL
from tests.visitors import PASSWORD

SMS_TOKEN = "a token of the tests"

# What a body must hold beside the thing that is named; a field without a value here fails the run.
FILLING: dict[str, Any] = {
    "current_password": PASSWORD, "password": PASSWORD, "new_password": "another-umbrella-43", "role": "member",
    "provider": "stripe", "name": "Named", "channel": "email", "recipient": "somebody@mts-test.com", "plan": "pro",
    "to": "somebody@mts-test.com", "message": "Hello", "type": "email",
}  # fmt: skip
# Differs between two answers to the very same question.
CHANGING = re.compile(
    r'"request_id":"[^"]*"|name="csrf" value="[^"]*"|mts_visit=[^;]*|mts_notice=[^;]*|mts_device=[^;]*|'
    r"\d{4}-\d\d-\d\dT[\d:.]+Z|Request [0-9a-f-]{36}|<code>[0-9a-f-]{36}</code>"
)
PASSING = {"date", "x-request-id"}


async def ask(
    http: httpx.AsyncClient,
    endpoint: Endpoint,
    house: House,
    named: dict[str, str],
    *,
    token: str | None = None,
    more: dict[str, Any] | None = None,
    **headers: str,
) -> httpx.Response:
    """Ask as the owner (or with the key) of a house; what is not named is the house's own or filled in."""
    declared, template = endpoint.declared, endpoint.declared.template
    path = re.sub(r"{(\w+)}", lambda part: named.get(part[1]) or own(house, endpoint, part[1]), template)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    sent |= {"X-Forwarded-For": new_network()} | _credentials(endpoint, house, token or str(house.owner.token))
    query = {each.name: named[each.name] for each in inputs(endpoint) if each.place == "query" and each.name in named}
    body = {name: filling(endpoint, house, name) for name in required(endpoint)} | (more or {})
    body |= {each.name: named[each.name] for each in inputs(endpoint) if each.place == "body" and each.name in named}
    if is_page(endpoint) and declared.method == "POST":
        body["csrf"] = await _form_token(http, endpoint, sent)
        return await http.post(path, data=body, headers=sent | {"Sec-Fetch-Site": "same-origin"})
    if "/webhooks/sms/" in template:
        return await http.post(path, content=RECEIPT, headers=sent | _signed(path))
    wanted = body if endpoint.types.body and not is_page(endpoint) else None
    return await http.request(declared.method, path, params=query, json=wanted, headers=sent)


RECEIPT = b"MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30006"


def own(house: House, endpoint: Endpoint, name: str) -> str:
    """The house's own value for an input; a KeyError says that a new input needs one (tests/isolation/houses.py)."""
    if name == "token":
        return house.own(token_kind(endpoint.declared))
    if "{name}/{form}" in endpoint.declared.template:
        return {"name": "welcome", "form": "html"}[name]
    return spelt(endpoint, house.own(name))


def spelt(endpoint: Endpoint, value: str) -> str:
    """An id as this endpoint writes it: addresses for providers name messages without our prefix."""
    return str(UUID(value.removeprefix("msg_"))) if "/webhooks/" in endpoint.declared.template else value


def token_kind(declared: Declaration) -> str:
    """Which of the tokens an endpoint is for, by its path."""
    (kind,) = [
        each for each in ("verify-email", "reset-password", "invitation", "unsubscribe") if each in declared.template
    ]
    return f"token {kind}"


def filling(endpoint: Endpoint, house: House, name: str) -> Any:
    """A value for a required field."""
    if name == "email":
        return house.owner.email
    if name == "key":
        return house.key[:-1] + ("A" if house.key[-1] != "A" else "B")
    if any(each.name == name for each in inputs(endpoint)):
        return own(house, endpoint, name)
    return FILLING[name]


def foreign(each: Input, victim: House) -> list[str]:
    """What of the victim's is tried in an input; for tokens the other kinds, since its own opens for anybody."""
    if each.name == "token":
        return sorted(victim.tokens() - {victim.own(token_kind(each.endpoint.declared))})
    if each.name == "key":  # whoever holds a key may report it; nearly one is nobody's
        return [victim.key[:-1] + ("A" if victim.key[-1] != "A" else "B")]
    return [spelt(each.endpoint, value) for value in victim.values[each.name]]


def seen(answer: httpx.Response, *names: str) -> tuple[int, str, list[tuple[str, str]]]:
    """An answer as it looks to a stranger: without what always changes, and without what was asked for."""

    def plain(text: str) -> str:
        for name in names:
            text = text.replace(name, "…")
        return CHANGING.sub("…", text)

    headers = [(name, _steady(name, plain(value))) for name, value in answer.headers.items() if name not in PASSING]
    return answer.status_code, plain(answer.text), headers


def _steady(name: str, value: str) -> str:
    return re.sub(r"\d+", "…", value) if name.startswith(("x-ratelimit", "ratelimit")) else value


def _credentials(endpoint: Endpoint, house: House, token: str) -> dict[str, str]:
    kind = kind_of(endpoint)
    if kind == "key":
        return {"X-API-Key": house.key}
    if kind == "open":
        return {}
    return {"Cookie": f"mts_session={token}"} if is_page(endpoint) else {"Authorization": f"Bearer {token}"}


async def _form_token(http: httpx.AsyncClient, endpoint: Endpoint, sent: dict[str, str]) -> str:
    """From a page that shows forms to this browser; without a session the browser starts a visit there."""
    page = await http.get("/keys" if "Cookie" in sent else "/login", headers=sent)
    if "Cookie" not in sent:
        sent["Cookie"] = page.headers["set-cookie"].partition(";")[0]
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    return found[1] if found else ""


def _signed(path: str) -> dict[str, str]:
    form = [("MessageSid", "SM1"), ("MessageStatus", "undelivered"), ("ErrorCode", "30006")]
    return {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Twilio-Signature": sign(f"{BASE_URL}{path}", form, SMS_TOKEN).decode(),
    }
