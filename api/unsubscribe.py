"""Out of mail that can be done without: a page for people, one POST for mail clients (RFC 8058)."""

from starlette.responses import HTMLResponse

from api.http import PUBLIC, SIGNED, PublicCall, Router, SignedCall
from api.pages import refusals
from api.pages.render import public_page
from db import alerts
from db.errors import NotFound
from db.types import Actor, OrganizationId, UserId
from jobs.seals import opened
from jobs.usage import UNSUBSCRIBE

router = Router("/unsubscribe", tag="Mail", base="", error_reply=refusals.reply, documented=False)


@router.get("/{token}", access=PUBLIC)
async def ask(call: PublicCall, token: str) -> HTMLResponse:
    """A button; reading the page changes nothing, since scanners of mail follow every link."""
    _seat(call, token)
    return public_page(call, "unsubscribe.html", private_address=True, done=False)


@router.post("/{token}", access=SIGNED, transaction=False)
async def leave(call: SignedCall, token: str) -> HTMLResponse:
    """No more usage alerts for this member; pressing again changes nothing. The address itself is the proof."""
    organization_id, user_id = _seat(call, token)
    async with call.resources.database.tenant(organization_id, Actor("user", user_id)) as tenant:
        await alerts.unsubscribe(tenant, user_id, call.now())
    return public_page(call, "unsubscribe.html", private_address=True, done=True)


def _seat(call: PublicCall, token: str) -> tuple[OrganizationId, UserId]:
    try:
        organization_id, user_id = opened(call.settings.jwt_secret, UNSUBSCRIBE, token)
    except ValueError:
        raise NotFound("Page") from None
    return OrganizationId(organization_id), UserId(user_id)
