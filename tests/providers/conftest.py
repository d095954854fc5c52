"""A sandbox of its own for every test, an inbox for what it posts, and our clients of it."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from db.types import Money
from jobs.providers.payments import CheckoutRequest
from jobs.providers.paystack import PaystackPayments
from jobs.providers.sandbox import SandboxConfig
from jobs.providers.sandbox.server import running
from jobs.providers.stripe import StripePayments
from jobs.providers.twilio import TwilioSms
from tests.providers.inbox import Inbox, inbox_server

STRIPE_KEY = "sk_test_sandbox"
STRIPE_SECRET = "whsec_sandbox"
PAYSTACK_KEY = "sk_test_paystack"
TWILIO_SID = "AC00000000000000000000000000000001"
TWILIO_TOKEN = "twilio-token"
SENDER = "+15005550006"

Order = Callable[..., CheckoutRequest]
Control = Callable[..., dict[str, Any]]


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with inbox_server() as found:
        yield found


@pytest.fixture
def config(tmp_path: Path, inbox: Inbox) -> SandboxConfig:
    return SandboxConfig(
        data_dir=tmp_path / "sandbox",
        stripe_key=STRIPE_KEY,
        stripe_webhook_secret=STRIPE_SECRET,
        paystack_key=PAYSTACK_KEY,
        twilio_sid=TWILIO_SID,
        twilio_token=TWILIO_TOKEN,
        webhook_base=f"{inbox.base}/webhooks",
    )


@pytest.fixture
def sandbox(config: SandboxConfig) -> Iterator[str]:
    with running(config) as base:
        yield base


@pytest.fixture
def control(sandbox: str) -> Control:
    """Sets faults (`control("stripe", fail_next=1)`) or makes things happen (`control("stripe/settle", …)`)."""

    def change(target: str, **values: Any) -> dict[str, Any]:
        path, body = (f"/control/{target}", values) if "/" in target else ("/control", {"provider": target, **values})
        response = httpx.post(f"{sandbox}{path}", json=body)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    return change


@pytest.fixture
async def stripe_payments(sandbox: str) -> AsyncIterator[StripePayments]:
    provider = StripePayments(STRIPE_KEY, STRIPE_SECRET, f"{sandbox}/stripe")
    yield provider
    await provider.close()


@pytest.fixture
async def paystack_payments(sandbox: str) -> AsyncIterator[PaystackPayments]:
    provider = PaystackPayments(PAYSTACK_KEY, f"{sandbox}/paystack")
    yield provider
    await provider.close()


@pytest.fixture
async def twilio_sms(sandbox: str) -> AsyncIterator[TwilioSms]:
    provider = TwilioSms(TWILIO_SID, TWILIO_TOKEN, SENDER, f"{sandbox}/twilio")
    yield provider
    await provider.close()


@pytest.fixture
def order() -> Order:
    """A request for a checkout; keyword arguments replace its fields."""

    def make(**changes: Any) -> CheckoutRequest:
        values: dict[str, Any] = {
            "attempt_id": uuid4(),
            "organization_id": UUID(int=7),
            "billing_cycle_id": UUID(int=8),
            "invoice_number": "ACME-0001",
            "amount": Money(2900, "USD"),
            "customer_email": "owner@example.org",
            "success_url": "https://app.example.org/billing/done",
            "cancel_url": "https://app.example.org/billing",
            "expires_at": datetime.now(UTC) + timedelta(hours=1),
        }
        return CheckoutRequest(**{**values, **changes})

    return make


def press(page: str, outcome: str) -> httpx.Response:
    """Press a button on a checkout page."""
    return httpx.post(page, data={"outcome": outcome})


def get(address: str) -> httpx.Response:
    """Read a page or an answer, as a browser or a script beside the product would."""
    return httpx.get(address)


def post(address: str, **options: Any) -> httpx.Response:
    """Post to the sandbox, as a script beside the product would."""
    return httpx.post(address, **options)
