"""The readable reference: endpoints drawn from the OpenAPI document, errors and roles printed from their tables."""

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup
from starlette.responses import HTMLResponse

from api.error_table import ERRORS
from api.http import PUBLIC, PublicCall, Router
from api.permissions import matrix_rows
from settings import ROOT

CACHE = "public, max-age=300"
# The reference's component writes style attributes and draws icons as data; scripts stay our own.
RELAXED = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:"

router = Router("/docs", tag="Documentation", base="", documented=False)
_templates = Environment(loader=FileSystemLoader(ROOT / "templates" / "docs"), autoescape=select_autoescape())


@router.get("", access=PUBLIC, limit=None)
async def reference(call: PublicCall) -> HTMLResponse:
    """Every endpoint."""
    return _page("reference.html", **{"Content-Security-Policy": RELAXED})


@router.get("/errors", access=PUBLIC, limit=None)
async def errors(call: PublicCall) -> HTMLResponse:
    """A section for each error code."""
    return _page("errors.html")


@router.get("/roles", access=PUBLIC, limit=None)
async def roles(call: PublicCall) -> HTMLResponse:
    """What each role may do."""
    return _page("roles.html")


def _page(name: str, **headers: str) -> HTMLResponse:
    text = _templates.get_template(name).render(errors=ERRORS, matrix=matrix_rows(), code_of=_code)
    return HTMLResponse(text, headers={"Cache-Control": CACHE, **headers})


def _code(text: str) -> Markup:
    """Text with `backticks`, as HTML."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if odd % 2 else part for odd, part in enumerate(parts)
    )
