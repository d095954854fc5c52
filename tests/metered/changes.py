"""Changes that must be final when they have answered: what is changed, how one asks, what is said before and after."""

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from db import suspension
from db.limits import Limits
from db.pool import Database
from db.types import SYSTEM, UserId
from tests.metered.crowd import House
from tests.metered.lines import Heard, Line
from tests.metered.served import request
from tests.networks import new_network


@dataclass(frozen=True, slots=True)
class Change:
    """One change: `ask` is what everybody asks, `before` and `after` say what an answer to it may look like then.

    `make` returns once the change has answered.
    """

    ask: bytes
    before: Callable[[Heard], bool]
    after: Callable[[Heard], bool]
    make: Callable[[Line], Awaitable[None]]


def with_key(key: str) -> bytes:
    """A request with an API key that has no scope for it: who is told so was let in."""
    return request("GET", "/api/v1/messages", {"X-API-Key": key})


def revocations(home: House) -> Iterator[Change]:
    """`DELETE /keys/{id}` for every key that is left."""
    while home.keys:
        key_id, value = home.keys.pop()
        asked = request("DELETE", f"/api/v1/keys/{key_id}", {"Authorization": home.owner})
        yield Change(with_key(value), is_accepted, is_refused, _answered(asked, 200))


def rotations(home: House) -> Iterator[Change]:
    """`POST /keys/{id}/rotate` without a grace."""
    while home.keys:
        key_id, value = home.keys.pop()
        asked = request("POST", f"/api/v1/keys/{key_id}/rotate", {"Authorization": home.owner}, b"{}")
        yield Change(with_key(value), is_accepted, is_refused, _answered(asked, 201))


def reports(home: House) -> Iterator[Change]:
    """`POST /keys/report` by strangers, each on a network of his own."""
    while home.keys:
        _, value = home.keys.pop()
        network = {"X-Forwarded-For": new_network()}
        asked = request("POST", "/api/v1/keys/report", network, json.dumps({"key": value}).encode())
        yield Change(with_key(value), is_accepted, is_refused, _answered(asked, 200))


def upgrades(home: House) -> Iterator[Change]:
    """`POST /billing/upgrade` from free to starter and from starter to pro: the limit of the answer is the plan's."""
    asks = with_key(home.keys[0][1])
    for plan, former, limit in (("starter", 10, 60), ("pro", 60, 300)):
        body = json.dumps({"plan": plan}).encode()
        asked = request("POST", "/api/v1/billing/upgrade", {"Authorization": home.owner}, body)
        yield Change(asks, _limited_to(former), _limited_to(limit), _answered(asked, 200))


def suspensions(home: House, database: Database, limits: Limits) -> Iterator[Change]:
    """What `mts suspend` and `mts resume` do, from the process of an operator."""
    asks = with_key(home.keys[0][1])

    def making(act: Callable[..., Awaitable[bool]]) -> Callable[[Line], Awaitable[None]]:
        async def make(_: Line) -> None:
            async with database.tenant(home.founded.organization_id, SYSTEM) as tenant:
                assert await act(tenant, operator="test", reason="to try it out")
            await limits.bump(home.founded.organization_id)

        return make

    yield Change(asks, is_accepted, is_suspended, making(suspension.suspend))
    yield Change(asks, is_suspended, is_accepted, making(suspension.resume))


def removal(home: House, user_id: UserId, bearer: str) -> Iterator[Change]:
    """`DELETE /team/members/{id}`: the session ends everywhere."""
    asks = request("GET", "/api/v1/keys", {"Authorization": bearer})
    asked = request("DELETE", f"/api/v1/team/members/{user_id}", {"Authorization": home.owner})
    yield Change(asks, lambda heard: heard.status == 200, is_refused, _answered(asked, 200))


def is_accepted(heard: Heard) -> bool:
    """The key was good, and may do nothing here."""
    return heard.status == 403 and b'"PERMISSION_DENIED"' in heard.body


def is_refused(heard: Heard) -> bool:
    """Whoever asked is not known."""
    return heard.status == 401


def is_suspended(heard: Heard) -> bool:
    """The organization is suspended."""
    return heard.status == 403 and b'"ORGANIZATION_SUSPENDED"' in heard.body


def _limited_to(limit: int) -> Callable[[Heard], bool]:
    line = f"\r\nx-ratelimit-limit: {limit}\r\n".encode()
    return lambda heard: line in heard.head


def _answered(asked: bytes, status: int) -> Callable[[Line], Awaitable[None]]:
    async def make(line: Line) -> None:
        heard = await line.ask(asked)
        assert heard.status == status, heard

    return make
