"""The sandbox's pages: plain server-rendered HTML with its style inside, nothing fetched from anywhere."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


def money(minor: int, currency: str) -> str:
    """An amount for people: 2900, "usd" → "29.00 USD"."""
    return f"{Decimal(minor).scaleb(-2):,.2f} {currency.upper()}"


def moment(seconds: float) -> str:
    """A Unix time for people."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters |= {"moment": moment}


def render(template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page from `templates/`."""
    return HTMLResponse(ENVIRONMENT.get_template(template).render(context), status, HEADERS)


async def posted(request: Request) -> dict[str, str]:
    """The fields of a small posted form."""
    return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
