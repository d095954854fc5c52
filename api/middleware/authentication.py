"""Who calls: the API key a request presents, or the session token and the seat behind it."""

from api import tokens
from api.call import UserCall
from api.endpoint import Endpoint
from api.exchange import Exchange
from api.permissions import Permission, require
from api.tokens import Claims
from db import sessions
from db.errors import Forbidden, Invalid, Unauthorized
from db.pool import Tenant
from jobs.resources import Resources

_BEARER = b"bearer "
_KEY_PREFIX = "sk_"


def bearer(exchange: Exchange) -> str:
    """The token of the Authorization header.

    Raises Unauthorized UNAUTHORIZED without one, INVALID_TOKEN_FORMAT when the header is malformed.
    """
    value = exchange.request_headers.get(b"authorization")
    if value is None:
        raise Unauthorized("UNAUTHORIZED", "Log in first", headers={"WWW-Authenticate": "Bearer"})
    token = value[len(_BEARER) :]
    if value[: len(_BEARER)].lower() != _BEARER or not token or b" " in token or not token.isascii():
        raise Unauthorized("INVALID_TOKEN_FORMAT", "The Authorization header must read: Bearer TOKEN")
    return token.decode("ascii")


def claims(exchange: Exchange, resources: Resources) -> Claims:
    """The claims of a valid session token in the Authorization header; raises Unauthorized."""
    return tokens.read(resources.settings, bearer(exchange), resources.clock.now())


async def take_seat(endpoint: Endpoint, call: UserCall, tenant: Tenant) -> None:
    """Read the seat behind the session and check it against what the endpoint declares.

    Raises Unauthorized for an ended session, Forbidden for a suspended organization, a missing permission or an
    unverified e-mail. Rights come from the row, never from the token, so a demotion acts at once.
    """
    call.seat = await sessions.seat(tenant, call.claims.session_id, call.claims.user_id, call.now())
    access = endpoint.declared.access
    if isinstance(access, Permission):
        call.reach = require(call.seat.role, access)
    if endpoint.declared.verified and not call.seat.email_verified:
        raise Forbidden("EMAIL_NOT_VERIFIED", "Verify your e-mail address first")


def presented_key(exchange: Exchange) -> str:
    """The API key of a request, from X-API-Key or as a bearer token.

    Raises Unauthorized MISSING_API_KEY without one, Invalid INVALID_REQUEST when two headers disagree.
    """
    header = exchange.header(b"x-api-key")
    scheme, _, credentials = (exchange.header(b"authorization") or "").partition(" ")
    # A session's token is not a key, and what another scheme carries is none either.
    token = credentials if scheme.lower() == "bearer" and credentials.startswith(_KEY_PREFIX) else None
    if header and token and header != token:
        raise Invalid("INVALID_REQUEST", "X-API-Key and Authorization carry different keys")
    key = header or token
    if not key:
        raise Unauthorized("MISSING_API_KEY", "Send your API key in the X-API-Key header")
    return key
