"""One's own account: the password, where one is logged in, and one's organizations."""

from typing import Any
from uuid import UUID

from starlette.responses import Response

from api import sessions as endpoints
from api import signing_in
from api.http import UserCall
from api.pages import cookies
from api.pages.auth import begin
from api.pages.forms import EMPTY, Filled, Form
from api.pages.render import page
from api.pages.router import ANY_SEAT, Pages, Rule, go
from db import sessions

pages = Pages("Account")


@pages.show("/account", ANY_SEAT, outside=True)
async def account(call: UserCall) -> Response:
    """The account."""
    return await _account(call)


async def _account(call: UserCall, filled: Filled = EMPTY, **path: Any) -> Response:
    memberships = await signing_in.memberships(call, await signing_in.list_seats(call, call.seat.account_id))
    async with call.transaction(read_only=True) as tenant:
        return await page(
            call, "account.html", filled=filled, memberships=memberships,
            sessions=await sessions.list_live(tenant.conn, call.seat.account_id, call.now()),
        )  # fmt: skip


@pages.submit("/account/password", Rule.of(endpoints.router, endpoints.change_password), again=_account, outside=True)
async def change_password(call: UserCall, body: Form) -> Response:
    """Change the password."""
    await endpoints.change_password(call, body.read(endpoints.PasswordChange))
    return go(call, "/account", "Your password is changed. All other sessions have ended.")


@pages.submit(
    "/account/sessions/{session_id}/end", Rule.of(endpoints.router, endpoints.end), again=_account, outside=True
)
async def end_session(call: UserCall, body: Form, session_id: UUID) -> Response:
    """End one session."""
    async with call.transaction():
        await endpoints.end(call, session_id)
    return go(call, "/account", "The session has ended.")


@pages.submit(
    "/account/sessions/end", Rule.of(endpoints.router, endpoints.log_out_everywhere), again=_account, outside=True
)
async def end_sessions(call: UserCall, body: Form) -> Response:
    """End all sessions, this one too."""
    async with call.transaction():
        await endpoints.log_out_everywhere(call)
    cookies.end_session(call.exchange, call.settings)
    return go(call, "/login", "You are logged out everywhere.")


@pages.submit(
    "/account/organization", Rule.of(endpoints.router, endpoints.switch_organization), again=_account, outside=True
)  # fmt: skip
async def switch_organization(call: UserCall, body: Form) -> Response:
    """Go on in another organization."""
    signed_in = await endpoints.switch_organization(call, body.read(endpoints.Switch))
    return begin(call, signed_in, "/dashboard", f"You work in {signed_in.organization.name} now.")
