"""What needs a session needs one, everywhere; and what has ended is forgotten in time."""

import pytest

from api import auth, invitations, organizations, sessions, team
from api.endpoint import Endpoint
from api.permissions import PUBLIC
from jobs import accounts
from jobs.resources import open_resources
from tests.stack import Stack
from tests.visitors import Visitor

ROUTERS = (auth.router, sessions.router, organizations.router, team.router, invitations.router)
CLOSED = [each for router in ROUTERS for each in router.endpoints if each.declared.access is not PUBLIC]


@pytest.mark.parametrize("endpoint", CLOSED, ids=lambda each: f"{each.declared.method} {each.declared.template}")
async def test_without_a_session_nothing_opens(visitor: Visitor, endpoint: Endpoint) -> None:
    path = endpoint.declared.template.removeprefix("/api/v1").replace("{", "").replace("}", "")
    reply = await visitor.ask(endpoint.declared.method, path, {})
    assert (reply.status, reply.code) == (401, "UNAUTHORIZED")
    visitor.token = "no.token.of-ours"
    assert (await visitor.ask(endpoint.declared.method, path, {})).code == "INVALID_TOKEN"


async def test_what_has_ended_is_forgotten_after_thirty_days(stack: Stack) -> None:
    person = await stack.register()
    tables = ("auth_tokens", "sessions", "account_mails")

    def left() -> list[int]:
        return [stack.rows(f"select count(*) from identity.{table}")[0][0] for table in tables]

    before = left()
    async with open_resources(stack.worker_settings, stack.clock) as resources:
        await accounts.forget.run(resources, 0)
        assert left() == before
        stack.clock.turn(days=38)
        await accounts.forget.run(resources, 0)
    stack.clock.ahead *= 0
    assert min(before) > 0
    assert left() == [0, 0, 0]
    assert (await person.get("/auth/me")).code == "INVALID_TOKEN"
