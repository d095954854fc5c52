"""How a page declares itself: what it shows, what its forms do, and that both follow the rule of an API endpoint."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from starlette.responses import RedirectResponse, Response

from api.call import PublicCall, UserCall
from api.declaration import AccessRule, Limit
from api.endpoint import Handler
from api.http import ANY_USER, BY_ADDRESS, BY_USER, PUBLIC, Router
from api.pages import cookies, refusals
from api.pages.cookies import Notice
from api.pages.forgery import refuse_forged
from api.pages.forms import Filled, Form
from db.errors import DomainError, NotFound

H = TypeVar("H", bound=Callable[..., Awaitable[Response]])
Shown = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may, how often, and whether what is shown may come from a replica."""

    access: AccessRule
    verified: bool = False
    limit: Limit | None = None
    replica: bool = False

    @classmethod
    def of(cls, router: Router, handler: Handler) -> "Rule":
        """The rule of an endpoint of the API, so that a page never has one of its own."""
        declared = next(endpoint.declared for endpoint in router.endpoints if endpoint.handler is handler)
        return cls(declared.access, declared.verified, declared.limit, declared.replica)


ANYBODY = Rule(PUBLIC, limit=BY_ADDRESS)
ANY_SEAT = Rule(ANY_USER, limit=BY_USER)


class Pages:
    """The pages of one subject."""

    def __init__(self, tag: str) -> None:
        self.router = Router(
            "", tag=tag, base="", claims=cookies.claims, error_reply=refusals.reply, form=True, documented=False
        )  # fmt: skip

    def show(self, path: str, rule: Rule, *, outside: bool = False, writes: bool = False) -> Callable[[H], H]:
        """Register a page that is read, in one transaction; with `outside` the handler opens its own."""
        limit = BY_ADDRESS if rule.access is PUBLIC else BY_USER
        return self.router.get(
            path, access=rule.access, limit=limit, replica=rule.replica, transaction=not outside, writes=writes
        )  # fmt: skip

    def submit(self, path: str, rule: Rule, again: Shown, *, outside: bool = False) -> Callable[[H], H]:
        """Register what a form does; when it is refused, `again` shows the page with the form and the reason.

        The handler runs in one transaction, which a refusal rolls back, and `again` in one that reads; with `outside`
        both open their own.
        """

        def register(handler: H) -> H:
            run = handler if outside else _in_transaction(handler)
            show = again if outside else _in_transaction(again, read_only=True)

            @wraps(handler)
            async def answer(call: PublicCall, body: Form, **path: Any) -> Response:
                refuse_forged(call, body.csrf)
                try:
                    return await run(call, body, **path)
                except NotFound:
                    raise
                except DomainError as error:
                    return await _shown_again(call, show, Filled.refused(body, error), path)

            self.router.post(
                path, access=rule.access, verified=rule.verified, limit=rule.limit, transaction=False
            )(answer)  # fmt: skip
            return handler

        return register


def _in_transaction(handler: Shown, *, read_only: bool = False) -> Shown:
    async def run(call: PublicCall, *arguments: Any, **more: Any) -> Response:
        if not isinstance(call, UserCall):
            return await handler(call, *arguments, **more)
        async with call.transaction(read_only=read_only):
            return await handler(call, *arguments, **more)

    return run


async def _shown_again(call: PublicCall, show: Shown, filled: Filled, path: dict[str, Any]) -> Response:
    response = await show(call, filled=filled, **path)
    if response.status_code == 200:
        response.status_code = filled.status
    response.headers.update(filled.headers)
    return response


def go(call: PublicCall, path: str, good: str | None = None, *, bad: str | None = None) -> Response:
    """On to another page of ours, which shows the sentence."""
    if good or bad:
        notice = Notice("good", good) if good else Notice("bad", bad or "")
        cookies.give_notice(call.exchange, call.settings, notice)
    return RedirectResponse(path, 303)
