"""Every kind of mail with made-up contents, in a browser; only where ENVIRONMENT is `dev`."""

from collections.abc import Mapping
from typing import Literal

from starlette.responses import HTMLResponse, PlainTextResponse, Response

from api.http import PUBLIC, PublicCall, Router
from api.pages.render import public_page
from db.errors import NotFound
from jobs.providers.previews import Preview, previews

router = Router("/dev/mail", tag="Mail", base="", documented=False)
# Mail brings its style with it and asks for nothing from outside.
POLICY = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"}


@router.get("", access=PUBLIC, limit=None)
async def overview(call: PublicCall) -> HTMLResponse:
    """The kinds."""
    return public_page(call, "dev_mail.html", previews=_all(call).values())


@router.get("/{name}/{form}", access=PUBLIC, limit=None)
async def show(call: PublicCall, name: str, form: Literal["html", "text"]) -> Response:
    """One mail as HTML or as text."""
    found = _all(call).get(name)
    if found is None:
        raise NotFound("Mail")
    if form == "text":
        return PlainTextResponse(f"Subject: {found.words.subject}\n\n{found.words.text}")
    return HTMLResponse(found.words.html, headers=POLICY)


def _all(call: PublicCall) -> Mapping[str, Preview]:
    if call.settings.environment != "dev":
        raise NotFound("Page")
    return previews()
