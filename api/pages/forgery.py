"""Forms that another site made a browser send are refused: by origin, and by a token bound to session or visit."""

import hmac
import secrets

from api.call import PublicCall, UserCall
from api.errors import Refused
from api.exchange import Exchange
from api.pages import cookies
from api.pages.signing import signature


def form_token(call: PublicCall) -> str:
    """The token for the forms of a page; every page has another, so that it cannot be guessed byte by byte."""
    salt = secrets.token_hex(8)
    return f"{salt}.{signature(call.settings, 'form', salt + _bearer(call))}"


def refuse_forged(call: PublicCall, token: str) -> None:
    """Raises Refused 403 for a form that did not come from a page of ours, shown to this browser."""
    _refuse_strange_origin(call.exchange, with_session=isinstance(call, UserCall))
    salt, _, given = token.partition(".")
    expected = signature(call.settings, "form", salt + _bearer(call))
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise _forged()


def _bearer(call: PublicCall) -> str:
    """What the token is bound to."""
    if isinstance(call, UserCall):
        return f"session:{call.claims.session_id}"
    exchange = call.exchange
    name = cookies.visit(exchange, call.settings) or exchange.scope.get("visit")
    if name is None:
        name = exchange.scope["visit"] = cookies.begin_visit(exchange, call.settings)
    return f"visit:{name}"


def _refuse_strange_origin(exchange: Exchange, with_session: bool) -> None:
    site, origin = exchange.header(b"sec-fetch-site"), exchange.header(b"origin")
    if site is not None and site != "same-origin":
        raise _forged()
    # Pages that are reached by a secret link send no referrer, and for those a browser says "null".
    if origin == "null" and (site == "same-origin" or not with_session):
        return
    host = exchange.header(b"host") or ""
    if origin is not None and origin not in (_origin(exchange.edge.base_url), f"http://{host}", f"https://{host}"):
        raise _forged()


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])


def _forged() -> Refused:
    return Refused(
        403, "PERMISSION_DENIED", "This form is too old, or did not come from here. Reload it and try again."
    )
