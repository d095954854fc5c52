"""The addresses of the local Twilio: its API below /twilio/2010-04-01 and a page of what was sent."""

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from jobs.providers.sandbox.faults import FaultGate, Faults
from jobs.providers.sandbox.pages import posted, render
from jobs.providers.sandbox.state import sandbox_of
from jobs.providers.sandbox.twilio.messages import create, public
from jobs.providers.sandbox.twilio.refusals import TwilioRefusal, broken

Handler = Callable[[Request], Awaitable[Response]]
SHOWN = 200


def routes(faults: Faults) -> list[BaseRoute]:
    """Everything below /twilio; faults befall the API, not the page."""
    gate = Middleware(FaultGate, faults=faults, broken=broken)
    api = [
        Route("/Accounts/{account}/Messages.json", _guarded(send), methods=["POST"]),
        Route("/Accounts/{account}/Messages.json", _guarded(listing), methods=["GET"]),
        Route("/Accounts/{account}/Messages/{sid}.json", _guarded(fetch), methods=["GET"]),
        Route("/{path:path}", unknown),
    ]
    page = Route("/messages", show, methods=["GET"])
    return [Mount("/twilio", routes=[page, Mount("/2010-04-01", routes=api, middleware=[gate])])]


def _guarded(handler: Handler) -> Handler:
    """The handler for callers who show the account and its token."""

    async def handle(request: Request) -> Response:
        try:
            _authenticate(request)
            return await handler(request)
        except TwilioRefusal as refusal:
            return refusal.response()

    return handle


def _authenticate(request: Request) -> None:
    config = sandbox_of(request).config
    expected = f"{config.twilio_sid}:{config.twilio_token}".encode()
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    try:
        given = base64.b64decode(credentials, validate=True)
    except (binascii.Error, ValueError):
        given = b""
    if scheme.lower() != "basic" or not hmac.compare_digest(given, expected):
        raise TwilioRefusal(401, 20003, "Authenticate")
    if request.path_params["account"] != config.twilio_sid:
        raise TwilioRefusal(404, 20404, f"The requested resource {request.url.path} was not found")


async def send(request: Request) -> Response:
    """POST …/Messages.json."""
    sandbox = sandbox_of(request)
    form = await posted(request)
    with sandbox.store.transaction():
        return JSONResponse(create(sandbox, form), 201)


async def fetch(request: Request) -> Response:
    """GET …/Messages/{sid}.json."""
    found = sandbox_of(request).store.get("sms", request.path_params["sid"])
    if found is None:
        raise TwilioRefusal(404, 20404, f"The requested resource {request.url.path} was not found")
    return JSONResponse(public(found))


async def listing(request: Request) -> Response:
    """GET …/Messages.json, newest first, by recipient and sender."""
    query = request.query_params
    where = {field: query[name] for name, field in (("To", "to"), ("From", "from")) if name in query}
    size = query.get("PageSize", "50")
    limit = min(int(size), 1000) if size.isdecimal() else 50
    rows = sandbox_of(request).store.select("sms", where, limit=limit)
    path = request.url.path.removeprefix("/twilio")
    page = {"page": 0, "page_size": limit, "start": 0, "end": max(len(rows) - 1, 0), "uri": path}
    links = {"first_page_uri": path, "next_page_uri": None, "previous_page_uri": None}
    return JSONResponse({"messages": [public(row) for row in rows], **page, **links})


async def unknown(request: Request) -> Response:
    """Any other address."""
    return TwilioRefusal(404, 20404, f"The requested resource {request.url.path} was not found").response()


async def show(request: Request) -> Response:
    """GET /twilio/messages: the texts that a phone would show."""
    rows = sandbox_of(request).store.select("sms", limit=SHOWN)
    table = {
        "title": "Text messages",
        "columns": ["Created", "To", "Text", "Parts", "State"],
        "rows": [[row["date_created"], row["to"], row["body"], row["num_segments"], row["status"]] for row in rows],
    }
    return render("index.html", links=[("/", "All sandboxes")], tables=[table])
