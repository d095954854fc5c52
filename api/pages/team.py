"""The team in the browser: members and their roles, invitations, the organization's name."""

from typing import Any
from uuid import UUID

from starlette.responses import Response

from api import invitations as inviting
from api import organizations as profile
from api import team as endpoints
from api.http import UserCall
from api.pages import cookies
from api.pages.forms import EMPTY, Filled, Form
from api.pages.render import page
from api.pages.router import Pages, Rule, go
from db import invitations, team

pages = Pages("Team")


@pages.show("/team", Rule.of(endpoints.router, endpoints.listing))
async def listing(call: UserCall) -> Response:
    """Everybody in the team."""
    return await _listing(call)


async def _listing(call: UserCall, filled: Filled = EMPTY, **path: Any) -> Response:
    return await page(
        call, "team.html", filled=filled, members=await team.members(call.tenant),
        pending=await invitations.pending(call.tenant, call.now()), ranks=team.RANKS,
    )  # fmt: skip


@pages.submit("/team/invite", Rule.of(inviting.router, inviting.invite), again=_listing)
async def invite(call: UserCall, body: Form) -> Response:
    """Invite somebody."""
    invitation = await inviting.invite(call, body.read(inviting.NewInvitation))
    return go(call, "/team", f"The invitation is on its way to {invitation.email}.")


@pages.submit("/team/invitations/{invitation_id}/resend", Rule.of(inviting.router, inviting.resend), again=_listing)
async def resend(call: UserCall, body: Form, invitation_id: UUID) -> Response:
    """Mail an invitation again."""
    invitation = await inviting.resend(call, invitation_id)
    return go(call, "/team", f"Sent again to {invitation.email}; the former link no longer works.")


@pages.submit("/team/invitations/{invitation_id}/cancel", Rule.of(inviting.router, inviting.cancel), again=_listing)
async def cancel(call: UserCall, body: Form, invitation_id: UUID) -> Response:
    """Take an invitation back."""
    await inviting.cancel(call, invitation_id)
    return go(call, "/team", "The invitation is cancelled.")


@pages.submit("/team/members/{user_id}/role", Rule.of(endpoints.router, endpoints.change_role), again=_listing)
async def change_role(call: UserCall, body: Form, user_id: UUID) -> Response:
    """Change a member's role."""
    changed = await endpoints.change_role(call, user_id, body.read(endpoints.NewRole))
    return go(call, "/team", f"{changed.user.email} is now {changed.user.role}.")


@pages.submit("/team/members/{user_id}/remove", Rule.of(endpoints.router, endpoints.remove), again=_listing)
async def remove(call: UserCall, body: Form, user_id: UUID) -> Response:
    """End a member's seat."""
    await endpoints.remove(call, user_id)
    return go(call, "/team", "The member is removed, and logged out everywhere.")


@pages.submit("/team/hand-over", Rule.of(endpoints.router, endpoints.transfer_ownership), again=_listing)
async def hand_over(call: UserCall, body: Form) -> Response:
    """Make another member the owner."""
    changed = await endpoints.transfer_ownership(call, body.read(endpoints.Successor))
    return go(call, "/team", f"{changed.user.email} is the owner now; you are an admin.")


@pages.submit("/team/name", Rule.of(profile.router, profile.rename), again=_listing)
async def rename(call: UserCall, body: Form) -> Response:
    """Give the organization another name."""
    renamed = await profile.rename(call, body.read(profile.Profile))
    return go(call, "/team", f"The organization is called {renamed.name} now.")


@pages.submit("/team/leave", Rule.of(endpoints.router, endpoints.leave), again=_listing)
async def leave(call: UserCall, body: Form) -> Response:
    """Leave the organization, which ends the session."""
    await endpoints.leave(call)
    cookies.end_session(call.exchange, call.settings)
    return go(call, "/login", "You have left the organization.")
