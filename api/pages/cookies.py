"""The three cookies of the pages: the session, the visit before there is one, and the notice for the next page."""

import json
import secrets
from datetime import datetime
from typing import Literal, NamedTuple

from starlette.requests import cookie_parser

from api import tokens
from api.exchange import Exchange
from api.pages.signing import sign, signed_text
from api.tokens import Claims
from db.errors import Unauthorized
from jobs.resources import Resources
from settings import Settings

SESSION, VISIT, NOTICE = "mts_session", "mts_visit", "mts_notice"
NOTICE_SECONDS = 60


class Notice(NamedTuple):
    """One sentence that the next page shows."""

    kind: Literal["good", "bad"]
    text: str


def claims(exchange: Exchange, resources: Resources) -> Claims:
    """The claims of the session cookie; raises Unauthorized without one, or when it is not valid."""
    token = read(exchange, resources.settings, SESSION)
    if not token:
        raise Unauthorized("UNAUTHORIZED", "Log in first")
    return tokens.read(resources.settings, token, resources.clock.now())


def begin_session(exchange: Exchange, settings: Settings, token: str, now: datetime, expires_at: datetime) -> None:
    """Give the browser its session; it lives as long as the token."""
    _set(exchange, settings, SESSION, token, int((expires_at - now).total_seconds()))


def end_session(exchange: Exchange, settings: Settings) -> None:
    """Take the session from the browser."""
    _set(exchange, settings, SESSION, "", 0)


def visit(exchange: Exchange, settings: Settings) -> str | None:
    """The random name of this browser's visit, which ties the forms before a session to it."""
    return signed_text(settings, VISIT, read(exchange, settings, VISIT))


def begin_visit(exchange: Exchange, settings: Settings) -> str:
    """Start a visit; it ends with the browser."""
    name = secrets.token_hex(16)
    _set(exchange, settings, VISIT, sign(settings, VISIT, name), None)
    return name


def give_notice(exchange: Exchange, settings: Settings, notice: Notice) -> None:
    """Leave a sentence for the next page."""
    _set(exchange, settings, NOTICE, sign(settings, NOTICE, json.dumps(notice)), NOTICE_SECONDS)


def take_notice(exchange: Exchange, settings: Settings) -> Notice | None:
    """The sentence that the page before left, and forget it."""
    value = read(exchange, settings, NOTICE)
    if value is None:
        return None
    _set(exchange, settings, NOTICE, "", 0)
    text = signed_text(settings, NOTICE, value)
    return Notice(*json.loads(text)) if text else None


def read(exchange: Exchange, settings: Settings, name: str) -> str | None:
    """The value of one of our cookies."""
    return cookie_parser(exchange.header(b"cookie") or "").get(_full(settings, name))


def _set(exchange: Exchange, settings: Settings, name: str, value: str, seconds: int | None) -> None:
    parts = [f"{_full(settings, name)}={value}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if seconds is not None:
        parts.append(f"Max-Age={seconds}")
    if settings.environment != "dev":
        parts.append("Secure")
    exchange.headers.append((b"set-cookie", "; ".join(parts).encode("ascii")))


def _full(settings: Settings, name: str) -> str:
    """With the prefix by which browsers refuse a cookie that another host or an unsafe connection planted."""
    return name if settings.environment == "dev" else f"__Host-{name}"
