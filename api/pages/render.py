"""From a template to an answer: one environment, one layout, and what every page knows about who reads it."""

from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from api.call import PublicCall, UserCall
from api.pages import cookies, words
from api.pages.forgery import form_token
from api.pages.forms import Filled
from api.permissions import Permission, Reach, reach
from db import organizations
from settings import ROOT

# A form's answer may lead on to a payment provider, so form-action is not pinned down.
POLICY = "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
HEADERS = {"content-security-policy": POLICY, "cross-origin-opener-policy": "same-origin"}

_environment = Environment(
    loader=FileSystemLoader(ROOT / "templates" / "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(words.FILTERS)


def html(template: str, **values: Any) -> str:
    """The text of a page; a name that a template knows and `values` does not is an error."""
    return _environment.get_template(template).render(values)


def public_page(call: PublicCall, template: str, *, private_address: bool = False, **values: Any) -> HTMLResponse:
    """A page for somebody who is not logged in; with `private_address` its URL is told to nobody."""
    headers = HEADERS | ({"referrer-policy": "no-referrer"} if private_address else {})
    return HTMLResponse(html(template, **_frame(call), **values), headers=headers)


async def page(call: UserCall, template: str, **values: Any) -> HTMLResponse:
    """A page for a person in one organization; needs the open transaction."""
    role = call.seat.role
    frame = _frame(call) | {
        "seat": call.seat,
        "organization": await organizations.get(call.tenant),
        "path": call.exchange.scope["path"],
        "may": lambda permission: reach(role, Permission[permission]) is not Reach.NONE,
    }
    return HTMLResponse(html(template, **frame, **values), headers=HEADERS)


def _frame(call: PublicCall) -> dict[str, Any]:
    return {
        "csrf": form_token(call),
        "notice": cookies.take_notice(call.exchange, call.settings),
        "no_form": Filled(),
    }
