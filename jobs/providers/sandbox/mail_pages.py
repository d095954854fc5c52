"""The mailbox in a browser, and as JSON for tests and tours."""

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from jobs.providers.sandbox.mail_faults import MailFault
from jobs.providers.sandbox.mail_store import CaughtMail, Mailbox

# A caught mail may hold anything: nothing of it runs, is loaded from elsewhere or can read this origin.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; base-uri 'none'"
HEADERS = {"content-security-policy": POLICY, "referrer-policy": "no-referrer", "cache-control": "no-store"}
VIEWS = ("html", "text", "headers", "raw")
LONGEST_WAIT = 60.0

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "mail_templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def mail_routes(mailbox: Mailbox) -> list[BaseRoute]:
    """Pages and JSON of a mailbox, to be mounted anywhere.

    `GET /api/messages?to=&subject=&after=&limit=` newest first, `DELETE` of the same, `GET /api/messages/{id}`,
    `GET /api/wait?to=&subject=&after=&timeout=` the oldest such mail as soon as there is one (404 after the time),
    `GET`, `POST` (one MailFault) and `DELETE /api/faults`.
    """
    pages, api = _Pages(mailbox), _Api(mailbox)
    return [
        Route("/", pages.index, methods=["GET"]),
        Route("/messages/{mail_id:int}", pages.message, methods=["GET"]),
        Route("/messages/{mail_id:int}.eml", pages.raw, methods=["GET"]),
        Route("/api/messages", api.messages, methods=["GET"]),
        Route("/api/messages", api.clear, methods=["DELETE"]),
        Route("/api/messages/{mail_id:int}", api.message, methods=["GET"]),
        Route("/api/wait", api.wait, methods=["GET"]),
        Route("/api/faults", api.faults, methods=["GET"]),
        Route("/api/faults", api.add_fault, methods=["POST"]),
        Route("/api/faults", api.clear_faults, methods=["DELETE"]),
    ]


class _Pages:
    """What people see."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    async def index(self, request: Request) -> Response:
        """The newest mails."""
        to = request.query_params.get("to") or None
        mails = self.mailbox.find(to=to, limit=200)
        return _page("list.html", request, mails=mails, to=to or "")

    async def message(self, request: Request) -> Response:
        """One mail as HTML, text, headers or source."""
        mail = self.mailbox.get(request.path_params["mail_id"])
        if mail is None:
            return _page("missing.html", request, status=404)
        html, text = mail.part("html"), mail.part("plain")
        asked = request.query_params.get("view", "html")
        view = asked if asked in VIEWS and not (asked == "html" and html is None) else "text"
        source = mail.raw.decode("utf-8", "replace")
        # Links leave the frame, which shows this one mail only.
        framed = html.replace("<head>", '<head><base target="_blank">', 1) if html else None
        return _page("message.html", request, mail=mail, html=framed, text=text or "", view=view, source=source)

    async def raw(self, request: Request) -> Response:
        """The mail's bytes, to be opened by a mail program."""
        mail = self.mailbox.get(request.path_params["mail_id"])
        if mail is None:
            return PlainTextResponse("There is no such mail.", 404, HEADERS)
        return Response(mail.raw, 200, HEADERS | {"content-disposition": "attachment"}, "message/rfc822")


class _Api:
    """What tests and tours use."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    async def messages(self, request: Request) -> Response:
        """Mails, newest first."""
        query = request.query_params
        try:
            after, limit = int(query.get("after", 0)), int(query.get("limit", 100))
        except ValueError:
            return _bad("after and limit are whole numbers")
        found = self.mailbox.find(
            to=query.get("to"), subject=query.get("subject"), after=after, limit=max(1, min(limit, 1000))
        )
        return JSONResponse([_as_json(mail) for mail in found], headers=HEADERS)

    async def clear(self, request: Request) -> Response:
        """Delete every mail."""
        self.mailbox.clear()
        return Response(status_code=204, headers=HEADERS)

    async def message(self, request: Request) -> Response:
        """One mail."""
        mail = self.mailbox.get(request.path_params["mail_id"])
        return JSONResponse(_as_json(mail), headers=HEADERS) if mail else _none("there is no such mail")

    async def wait(self, request: Request) -> Response:
        """The oldest mail that fits, as soon as it is there."""
        query = request.query_params
        try:
            after, timeout = int(query.get("after", 0)), min(float(query.get("timeout", 10)), LONGEST_WAIT)
        except ValueError:
            return _bad("after is a whole number, timeout a number of seconds")
        mail = await self.mailbox.wait(to=query.get("to"), subject=query.get("subject"), after=after, timeout=timeout)
        return JSONResponse(_as_json(mail), headers=HEADERS) if mail else _none(f"no such mail in {timeout:g} s")

    async def faults(self, request: Request) -> Response:
        """The faults in force."""
        return JSONResponse([fault.model_dump() for fault in self.mailbox.faults.all()], headers=HEADERS)

    async def add_fault(self, request: Request) -> Response:
        """One more fault."""
        try:
            fault = MailFault.model_validate(await request.json())
        except (ValidationError, json.JSONDecodeError) as error:
            return _bad(str(error))
        self.mailbox.faults.add(fault)
        return JSONResponse(fault.model_dump(), 201, HEADERS)

    async def clear_faults(self, request: Request) -> Response:
        """Everything works again."""
        self.mailbox.faults.clear()
        return Response(status_code=204, headers=HEADERS)


def _as_json(mail: CaughtMail) -> dict[str, object]:
    return {
        "id": mail.id,
        "from": mail.sender,
        "to": list(mail.recipients),
        "subject": mail.subject,
        "text": mail.part("plain"),
        "html": mail.part("html"),
        "headers": mail.headers,
        "received_at": mail.received_at.isoformat().replace("+00:00", "Z"),
    }


def _page(template: str, request: Request, *, status: int = 200, **words: object) -> HTMLResponse:
    base = request.scope.get("root_path", "")
    return HTMLResponse(_templates.get_template(template).render(base=base, **words), status, HEADERS)


def _bad(reason: str) -> JSONResponse:
    return JSONResponse({"error": reason}, 400, HEADERS)


def _none(reason: str) -> JSONResponse:
    return JSONResponse({"error": reason}, 404, HEADERS)
