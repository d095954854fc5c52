"""API keys in the browser: listed, made and shown once, replaced, revoked."""

from datetime import timedelta
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from api import keys as endpoints
from api.fields import PageQuery
from api.http import UserCall
from api.pages.forms import EMPTY, Filled, Form
from api.pages.render import page
from api.pages.router import Pages, Rule, go
from api.permissions import Permission, Reach, reach
from db import keys
from db.keys import ApiKey

pages = Pages("API keys")

LIFETIMES = (("", "Never"), ("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year"))
GRACES = (("0", "At once"), ("3600", "In an hour"), ("86400", "In a day"), ("604800", "In a week"))


class KeyForm(Form):
    """The form of a new key; its scopes are boxes, any number of them ticked."""

    scopes: list[str] = Field([])


@pages.show("/keys", Rule.of(endpoints.router, endpoints.listing))
async def listing(call: UserCall, query: PageQuery) -> Response:
    """The organization's keys."""
    return await _listing(call, query)


@pages.show("/keys/new", Rule.of(endpoints.router, endpoints.create))
async def new(call: UserCall) -> Response:
    """The form of a new key."""
    return await _new(call)


async def _new(call: UserCall, filled: Filled = EMPTY) -> Response:
    return await page(call, "key_new.html", filled=filled, scopes=keys.SCOPES, lifetimes=LIFETIMES)


@pages.submit("/keys", Rule.of(endpoints.router, endpoints.create), again=_new)
async def create(call: UserCall, body: KeyForm) -> Response:
    """Make a key, and show it this once."""
    days = body.text("lifetime")
    expires_at = call.now() + timedelta(days=int(days)) if days in dict(LIFETIMES) and days else None
    created = await endpoints.create(call, body.read(endpoints.NewKey, expires_at=expires_at, scopes=body.scopes))
    return await page(call, "key_created.html", key=created, base_url=call.settings.base_url)


async def _refused(call: UserCall, key_id: UUID, filled: Filled) -> Response:
    return await _listing(call, PageQuery(), filled)


@pages.submit("/keys/{key_id}/rotate", Rule.of(endpoints.router, endpoints.rotate), again=_refused)
async def rotate(call: UserCall, body: Form, key_id: UUID) -> Response:
    """Replace a key, and show the new one this once."""
    rotated = await endpoints.rotate(call, key_id, body.read(endpoints.Rotation))
    return await page(call, "key_created.html", key=rotated, base_url=call.settings.base_url)


@pages.submit("/keys/{key_id}/revoke", Rule.of(endpoints.router, endpoints.revoke), again=_refused)
async def revoke(call: UserCall, body: Form, key_id: UUID) -> Response:
    """End a key."""
    await endpoints.revoke(call, key_id)
    return go(call, "/keys", good="The key is revoked; it is refused everywhere from now on.")


async def _listing(call: UserCall, query: PageQuery, filled: Filled = EMPTY) -> Response:
    listed, total = await keys.page(call.tenant, query.page, query.limit)
    return await page(
        call, "keys.html", keys=listed, total=total, query=query, filled=filled, graces=GRACES, now=call.now(),
        may_end=lambda key: _may_end(call, key),
    )  # fmt: skip


def _may_end(call: UserCall, key: ApiKey) -> bool:
    """Whether a button is worth showing; whether it works is decided where it is pressed."""
    reached = reach(call.seat.role, Permission.REVOKE_KEYS)
    is_own = key.created_by == call.seat.user_id
    return key.is_active and (reached is Reach.ALL or (reached is Reach.OWN and is_own))
