"""How an error looks in a browser: the way to the log-in, or a page that says what happened and what to do."""

import re
from urllib.parse import quote

from api import errors
from api.error_table import ERRORS
from api.errors import status_of
from api.exchange import Exchange
from api.pages import cookies
from api.pages.cookies import Notice
from api.pages.render import HEADERS, html
from api.permissions import PUBLIC
from api.reply import Header, Reply
from db.errors import DomainError
from jobs.resources import Resources

LOGGED_OUT = {"UNAUTHORIZED", "INVALID_TOKEN", "INVALID_TOKEN_FORMAT"}
_OURS = re.compile(r"/(?!/)[A-Za-z0-9/_.~-]*(\?[A-Za-z0-9_.~=&%-]*)?")


def reply(error: DomainError, exchange: Exchange) -> Reply:
    """The answer for an error on a page."""
    declared = exchange.declared
    if error.code in LOGGED_OUT and declared is not None and declared.access is not PUBLIC:
        return _log_in(exchange)
    if error.code == "ORGANIZATION_SUSPENDED":
        cookies.end_session(exchange, _resources(exchange).settings)
    return _page(error, exchange)


def unrouted(error: DomainError, exchange: Exchange) -> Reply:
    """The answer where no endpoint is: a page for a browser, the API's envelope for a program."""
    wants_page = b"text/html" in exchange.request_headers.get(b"accept", b"")
    if wants_page and not exchange.scope["path"].startswith("/api/"):
        return _page(error, exchange)
    return errors.reply(error, exchange)


def our_path(text: str | None) -> str | None:
    """A path of ours to go on to; None for whatever else, above all the address of another site."""
    return text if text and len(text) <= 500 and _OURS.fullmatch(text) else None


def _log_in(exchange: Exchange) -> Reply:
    settings = _resources(exchange).settings
    if cookies.read(exchange, settings, cookies.SESSION):
        cookies.end_session(exchange, settings)
        cookies.give_notice(exchange, settings, Notice("bad", "Your session has ended. Log in again."))
    path = exchange.scope["path"]
    wanted = our_path(path) if exchange.scope["method"] == "GET" else None
    location = f"/login?next={quote(wanted)}" if wanted else "/login"
    return Reply(303, b"", [(b"location", location.encode("ascii")), (b"cache-control", b"no-store")])


def _page(error: DomainError, exchange: Exchange) -> Reply:
    status = status_of(error)
    kind = ERRORS.get(error.code)
    body = html(
        "error.html", status=status, code=error.code, heading=kind.title if kind else "Something went wrong",
        message=error.message, retry_after=error.headers.get("Retry-After"), request_id=exchange.request_id,
    )  # fmt: skip
    headers: list[Header] = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store")]
    headers += [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    headers += [(name.lower().encode(), str(value).encode()) for name, value in error.headers.items()]
    exchange.replace_headers(headers)
    return Reply(status, body.encode(), headers)


def _resources(exchange: Exchange) -> Resources:
    resources: Resources = exchange.scope["state"]["resources"]
    return resources
