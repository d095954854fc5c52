"""Registering, logging in and out, and the two pages that mails lead to; a link only shows a page, a button acts."""

from pydantic import Field
from starlette.responses import RedirectResponse, Response

from api import auth as endpoints
from api import sessions
from api.fields import Query
from api.http import PublicCall, UserCall
from api.pages import cookies
from api.pages.forms import EMPTY, Filled, Form
from api.pages.home import claims_of
from api.pages.refusals import our_path
from api.pages.render import public_page
from api.pages.router import ANYBODY, Pages, Rule, go
from api.people import SignedInAnswer

pages = Pages("Accounts")


class LogInQuery(Query):
    """Where to go on after logging in."""

    next: str = ""


class LinkQuery(Query):
    """The token of a mailed link."""

    token: str = Field("", max_length=512)


def begin(call: PublicCall, signed_in: SignedInAnswer, path: str, good: str | None = None) -> Response:
    """Give the browser the session that was opened, and go on."""
    cookies.begin_session(call.exchange, call.settings, signed_in.token, call.now(), signed_in.expires_at)
    return go(call, path, good)


async def _registration(call: PublicCall, filled: Filled = EMPTY) -> Response:
    return public_page(call, "register.html", filled=filled)


@pages.show("/register", ANYBODY)
async def registration(call: PublicCall) -> Response:
    """The form of a new organization."""
    return await _registration(call)


@pages.submit("/register", Rule.of(endpoints.router, endpoints.register), again=_registration)
async def register(call: PublicCall, body: Form) -> Response:
    """Make an organization, and go to its dashboard."""
    signed_in = await endpoints.register(call, body.read(endpoints.Registration))
    return begin(call, signed_in, "/dashboard")


async def _log_in_form(call: PublicCall, filled: Filled = EMPTY) -> Response:
    return public_page(call, "login.html", filled=filled, next=our_path(filled.values.get("next")))


@pages.show("/login", ANYBODY)
async def log_in_form(call: PublicCall, query: LogInQuery) -> Response:
    """The log-in."""
    if claims_of(call):
        return RedirectResponse(our_path(query.next) or "/dashboard", 303)
    return await _log_in_form(call, Filled({"next": query.next}))


@pages.submit("/login", Rule.of(endpoints.router, endpoints.log_in), again=_log_in_form)
async def log_in(call: PublicCall, body: Form) -> Response:
    """Log in, and go where the person wanted to."""
    signed_in = await endpoints.log_in(call, body.read(endpoints.LogIn))
    return begin(call, signed_in, our_path(body.text("next")) or "/dashboard")


async def _log_out_again(call: UserCall, filled: Filled) -> Response:
    return go(call, "/account", bad=filled.message)


@pages.submit("/logout", Rule.of(sessions.router, sessions.log_out), again=_log_out_again)
async def log_out(call: UserCall, body: Form) -> Response:
    """End the session."""
    await sessions.log_out(call)
    cookies.end_session(call.exchange, call.settings)
    return go(call, "/login", good="You are logged out.")


async def _forgotten(call: PublicCall, filled: Filled = EMPTY) -> Response:
    return public_page(call, "forgot_password.html", filled=filled, asked=None)


@pages.show("/forgot-password", ANYBODY)
async def forgotten(call: PublicCall) -> Response:
    """The form for a forgotten password."""
    return await _forgotten(call)


@pages.submit("/forgot-password", Rule.of(endpoints.router, endpoints.request_password_reset), again=_forgotten)
async def request_reset(call: PublicCall, body: Form) -> Response:
    """Ask for the mail; the page is the same whether the address is known or not."""
    wanted = body.read(endpoints.ResetRequest)
    await endpoints.request_password_reset(call, wanted)
    return public_page(call, "forgot_password.html", filled=EMPTY, asked=wanted.email)


async def _reset_form(call: PublicCall, filled: Filled = EMPTY) -> Response:
    return public_page(call, "reset_password.html", filled=filled, private_address=True)


@pages.show("/reset-password", ANYBODY)
async def reset_form(call: PublicCall, query: LinkQuery) -> Response:
    """The form of a new password."""
    return await _reset_form(call, Filled({"token": query.token}))


@pages.submit("/reset-password", Rule.of(endpoints.router, endpoints.reset_password), again=_reset_form)
async def reset(call: PublicCall, body: Form) -> Response:
    """Set the new password; it does not log in."""
    await endpoints.reset_password(call, body.read(endpoints.PasswordReset))
    cookies.end_session(call.exchange, call.settings)
    return go(call, "/login", good="Your password is changed. Log in with the new one.")


async def _verify_form(call: PublicCall, filled: Filled = EMPTY) -> Response:
    return public_page(call, "verify_email.html", filled=filled, private_address=True)


@pages.show("/verify-email", ANYBODY)
async def verify_form(call: PublicCall, query: LinkQuery) -> Response:
    """The button that verifies."""
    return await _verify_form(call, Filled({"token": query.token}))


@pages.submit("/verify-email", Rule.of(endpoints.router, endpoints.verify_email), again=_verify_form)
async def verify(call: PublicCall, body: Form) -> Response:
    """Prove the mailbox."""
    verified = await endpoints.verify_email(call, body.read(endpoints.EmailToken))
    return go(call, "/dashboard", good=f"{verified.email} is verified.")


async def _not_sent(call: UserCall, filled: Filled) -> Response:
    return go(call, "/dashboard", bad=filled.message)


@pages.submit(
    "/verify-email/again", Rule.of(endpoints.router, endpoints.request_email_verification), again=_not_sent
)  # fmt: skip
async def send_verification(call: UserCall, body: Form) -> Response:
    """Ask for another verification mail."""
    await endpoints.request_email_verification(call)
    return go(call, "/dashboard", good=f"A new link is on its way to {call.seat.email}.")
