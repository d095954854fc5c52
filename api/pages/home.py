"""The first page: for strangers what this is, for people with a session their dashboard."""

from starlette.responses import RedirectResponse, Response

from api.http import PublicCall
from api.pages import cookies
from api.pages.render import public_page
from api.pages.router import ANYBODY, Pages
from api.tokens import Claims
from db.errors import Unauthorized

pages = Pages("Home")


@pages.show("/", ANYBODY)
async def landing(call: PublicCall) -> Response:
    """What this is, with the ways in."""
    if claims_of(call):
        return RedirectResponse("/dashboard", 303)
    return public_page(call, "landing.html", base_url=call.settings.base_url)


def claims_of(call: PublicCall) -> Claims | None:
    """Who the browser says is logged in; whether the session still lives is asked where something is done."""
    try:
        return cookies.claims(call.exchange, call.resources)
    except Unauthorized:
        return None
