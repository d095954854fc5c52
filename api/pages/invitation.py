"""The page that an invitation leads to: join with a new account or the one that has the address, or decline."""

from starlette.responses import Response

from api import invitations as endpoints
from api import joining
from api.http import PublicCall
from api.pages.auth import LinkQuery, begin
from api.pages.forms import EMPTY, Filled, Form
from api.pages.home import claims_of
from api.pages.render import public_page
from api.pages.router import ANYBODY, Pages, Rule, go
from api.people import signed_in
from db.errors import DomainError

pages = Pages("Invitations")


async def _answer_form(call: PublicCall, filled: Filled = EMPTY) -> Response:
    try:
        found = await joining.preview(call, filled.values.get("token", ""))
    except DomainError as error:
        refused = filled if filled.refusal else Filled(refusal=error)
        return public_page(call, "invitation_over.html", filled=refused, private_address=True)
    claims = claims_of(call)
    is_logged_in = filled.refusal is None and claims is not None and found.account is not None and (
        claims.account_id == found.account.id
    )  # fmt: skip
    return public_page(
        call, "invitation.html", filled=filled, invitation=found.invitation, has_account=found.account is not None,
        is_logged_in=is_logged_in, private_address=True,
    )  # fmt: skip


@pages.show("/accept-invitation", ANYBODY)
async def answer_form(call: PublicCall, query: LinkQuery) -> Response:
    """Who invites, to what, and the two buttons."""
    return await _answer_form(call, Filled({"token": query.token}))


@pages.submit("/accept-invitation", Rule.of(endpoints.router, endpoints.accept), again=_answer_form)
async def accept(call: PublicCall, body: Form) -> Response:
    """Join, and go to the organization's dashboard."""
    given = body.read(endpoints.Acceptance)
    password = given.password.get_secret_value() if given.password else None
    claims = None if password else claims_of(call)
    joined = await joining.accept(call, given.token.get_secret_value(), password, given.full_name, claims)
    return begin(call, signed_in(joined), "/dashboard", f"Welcome to {joined.organization.name}.")


@pages.submit("/decline-invitation", Rule.of(endpoints.router, endpoints.decline), again=_answer_form)
async def decline(call: PublicCall, body: Form) -> Response:
    """Refuse the invitation for good."""
    await endpoints.decline(call, body.read(endpoints.InvitationToken))
    return go(call, "/login", good="The invitation is declined.")
