"""The main job of the product, step by step: from sign-up to a paid invoice, twice, with Stripe and with Paystack."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from cli.errors import CommandError
from cli.tour_http import Guide

PASSWORD = "correct horse battery staple"  # noqa: S105 - the tour's own throw-away account
DEADLINE_SECONDS = 30.0
LAST_DAYS = 2


@dataclass
class Customer:
    """One organization on the tour."""

    email: str
    token: str = ""
    key: str = ""


def walk(guide: Guide, close_month: Callable[[str], str]) -> None:
    """Walk the whole way; `close_month` runs `mts close-month MONTH --unfinished` and returns what it printed."""
    ada, grace = Customer("ada@example.com"), Customer("grace@example.com")
    _sign_up(guide, ada)
    _create_key(guide, ada)
    message_ids = _send(guide, ada)
    _follow(guide, ada, message_ids)
    _look_at_usage(guide, ada)
    _second_customer(guide, grace)
    _close(guide, ada, close_month)
    _pay(guide, ada, "stripe")
    _pay(guide, grace, "paystack")


def _sign_up(guide: Guide, customer: Customer) -> None:
    guide.step("Sign up")
    guide.show("POST", "/auth/register", 201, body=_registration(customer, "Analytical Engines"))
    guide.step("Two e-mails arrive over SMTP; the link in one of them proves the mailbox")
    _mail(guide, customer.email, "Welcome")
    token = _token(_mail(guide, customer.email, "Confirm"))
    guide.quietly("POST", "/auth/verify-email", 200, body={"token": token})
    guide.say("POST /auth/verify-email with the token of the mail: 200")
    guide.step("Log in")
    session = guide.show("POST", "/auth/login", 200, body={"email": customer.email, "password": PASSWORD})
    customer.token = session["token"]


def _create_key(guide: Guide, customer: Customer) -> None:
    guide.step("Move to the starter plan and create an API key; it is shown this once")
    guide.quietly("POST", "/billing/upgrade", 200, token=customer.token, body={"plan": "starter"})
    guide.say('POST /billing/upgrade {"plan": "starter"}: 200')
    key = guide.show("POST", "/keys", 201, token=customer.token, body={"name": "production"})
    customer.key = key["key"]


def _send(guide: Guide, customer: Customer) -> list[str]:
    guide.step("Send an e-mail and an SMS through the metered API")
    email = {"to": "charles@example.com", "type": "email", "subject": "Difference", "message": "The engine weaves."}
    sms = {"to": "+14155550123", "type": "sms", "message": "The engine weaves algebraic patterns."}
    first = guide.show("POST", "/messages/send", 200, token=customer.key, body=email, Idempotency_Key="first-letter")
    again = guide.quietly("POST", "/messages/send", 200, token=customer.key, body=email, Idempotency_Key="first-letter")
    if again["message_id"] != first["message_id"]:
        raise CommandError("an Idempotency-Key made a second message")
    guide.say("The same request with the same Idempotency-Key: the same message, charged once.")
    second = guide.show("POST", "/messages/send", 200, token=customer.key, body=sms)
    return [first["message_id"], second["message_id"]]


def _follow(guide: Guide, customer: Customer, message_ids: list[str]) -> None:
    guide.step("The worker delivers: the e-mail over SMTP, the SMS through its provider, which calls back")
    _mail(guide, "charles@example.com", "Difference")
    for message_id, wanted in zip(message_ids, ("sent", "delivered"), strict=True):
        _until(partial(_has_status, guide, customer, message_id, wanted), f"{message_id} is {wanted}")
        guide.show("GET", f"/messages/{message_id}", 200, token=customer.key)


def _look_at_usage(guide: Guide, customer: Customer) -> None:
    guide.step("Every answered request is counted before its answer leaves")
    guide.show("GET", "/billing/usage", 200, token=customer.token)
    guide.show("GET", "/dashboard/stats", 200, token=customer.token)


def _second_customer(guide: Guide, customer: Customer) -> None:
    guide.step("A second organization, which will pay with Paystack")
    guide.quietly("POST", "/auth/register", 201, body=_registration(customer, "Compilers & Co"))
    token = _token(_mail(guide, customer.email, "Confirm"))
    guide.quietly("POST", "/auth/verify-email", 200, body={"token": token})
    session = guide.quietly("POST", "/auth/login", 200, body={"email": customer.email, "password": PASSWORD})
    customer.token = session["token"]
    guide.quietly("POST", "/billing/upgrade", 200, token=customer.token, body={"plan": "pro"})
    guide.say("Signed up, verified, logged in, on the pro plan. It sees nothing of the first:")
    guide.show("GET", "/keys", 200, token=customer.token)


def _close(guide: Guide, customer: Customer, close_month: Callable[[str], str]) -> None:
    guide.step("The month closes (here before its end, to try it out) and the invoice is mailed")
    for month in months_to_close(datetime.now(UTC).date()):
        print(f"$ ./mts close-month {month} --unfinished")
        print(close_month(month).strip(), flush=True)
    _mail(guide, customer.email, "Invoice")


def months_to_close(today: date) -> list[str]:
    """This month; near its end, when a share of the base would be less than providers take, the next one, too."""
    following = date(today.year + today.month // 12, today.month % 12 + 1, 1)
    months = [today] if (following - today).days > LAST_DAYS else [today, following]
    return [f"{month:%Y-%m}" for month in months]


def _pay(guide: Guide, customer: Customer, provider: str) -> None:
    guide.step(f"Pay the invoice with {provider.capitalize()}")
    invoice = guide.quietly("GET", "/billing/history", 200, token=customer.token)["invoices"][0]
    body = {"billing_cycle_id": invoice["id"], "provider": provider}
    started = guide.show("POST", "/billing/initiate-payment", 200, token=customer.token, body=body)
    answer = guide.sandbox.post(started["payment_url"], data={"outcome": "pay"})
    if answer.status_code not in (302, 303):
        raise CommandError(f"the checkout page answered {answer.status_code}")
    guide.say("“Pay” pressed on the provider's page. Its signed webhook marks the invoice as paid – nothing else can.")
    _until(lambda: _invoice(guide, customer)["status"] == "paid", "the invoice is paid")
    guide.show("GET", "/billing/history", 200, token=customer.token)
    _mail(guide, customer.email, "Receipt")


def _registration(customer: Customer, organization: str) -> dict[str, str]:
    return {"organization_name": organization, "email": customer.email, "password": PASSWORD}


def _has_status(guide: Guide, customer: Customer, message_id: str, wanted: str) -> bool:
    return bool(guide.quietly("GET", f"/messages/{message_id}", 200, token=customer.key)["status"] == wanted)


def _invoice(guide: Guide, customer: Customer) -> dict[str, Any]:
    invoice: dict[str, Any] = guide.quietly("GET", "/billing/history", 200, token=customer.token)["invoices"][0]
    return invoice


def _mail(guide: Guide, to: str, *words: str) -> str:
    """Wait for a mail to `to` with one of `words` in its subject, say so, and return its text."""
    found: dict[str, Any] = {}

    def arrived() -> bool:
        mails = guide.sandbox.get("/mail/api/messages", params={"to": to}).json()
        found.update(next((mail for mail in mails if any(word in mail["subject"] for word in words)), {}))
        return bool(found)

    _until(arrived, f"a mail to {to} about {words[0]!r} arrives")
    guide.say(f"✉ to {to}: {found['subject']}")
    return str(found["text"])


def _token(text: str) -> str:
    found = re.search(r"[?&]token=([\w-]+)", text)
    if found is None:
        raise CommandError("the mail has no link with a token")
    return found[1]


def _until(is_so: Callable[[], bool], what: str) -> None:
    """Ask ten times a second; raises CommandError when it does not come true in half a minute."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise CommandError(f"It did not happen within {DEADLINE_SECONDS:.0f} s that {what}.")
        time.sleep(0.1)
