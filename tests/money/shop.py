"""The whole product with its providers' sandboxes: customers who owe an invoice, and every way to pay it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import tokens
from cli.embedded.ports import free_port
from db import invoices, payments, reconciliation, sessions
from db.payments import Attempt
from db.types import SYSTEM, CycleId, Plan, new_id
from jobs.billing import close_organization, close_until, last_month_over
from jobs.providers.sandbox import SandboxConfig
from jobs.providers.sandbox.mail import start_smtp
from jobs.providers.sandbox.mail_store import Mailbox
from jobs.providers.sandbox.server import running
from jobs.resources import Resources, open_resources
from settings import Settings
from tests.founding import Founded, found
from tests.servers import Urls
from tests.stack import Stack, serving, settings_for
from tests.visitors import Reply, TurnableClock, Visitor

WAITING = "select 1 from jobs.procrastinate_jobs where status = 'todo' and coalesce(scheduled_at, now()) <= now()"
PASS_OVER = """
update jobs.procrastinate_jobs j set scheduled_at = null
where j.status = 'todo' and j.scheduled_at > now() and exists (
    select from jobs.job_errors e
    where e.job_id = j.id and e.attempt = j.attempts and starts_with(e.error, 'Unavailable: ')
)
returning j.id
"""
STRIPE_KEY, STRIPE_SECRET, PAYSTACK_KEY = "sk_test_sandbox", "whsec_sandbox", "sk_test_paystack"


@dataclass
class Customer:
    """An owner, logged in, whose organization owes an invoice of last month."""

    founded: Founded
    browser: Visitor
    cycle_id: CycleId
    email: str

    async def pay(self, provider: str = "stripe", cycle_id: CycleId | None = None) -> Reply:
        """Press "pay"."""
        body = {"billing_cycle_id": str(cycle_id or self.cycle_id), "provider": provider}
        return await self.browser.post("/billing/initiate-payment", body)


@dataclass
class Shop:
    """The product, a worker's resources, and the sandbox of the providers."""

    stack: Stack
    worker: Resources
    sandbox: str
    outside: httpx.AsyncClient

    async def customer(self, plan: Plan = "pro") -> Customer:
        """A new organization since the first of last month, with its invoice."""
        month = last_month_over(self.worker)
        founded = await found(self.worker.database, plan, datetime.combine(month, datetime.min.time(), UTC))
        await close_until(self.worker, month)
        await close_organization.run(self.worker, founded.organization_id)
        browser = self.stack.visitor()
        browser.token, email = await self.log_in(founded)
        async with self.worker.database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
            cycles, _ = await invoices.issued(tenant, 1, 1)
        return Customer(founded, browser, cycles[0].id, email)

    async def work(self) -> None:
        """Run the worker until nothing waits that could run now, what its jobs left behind included.

        A job that found Postgres too slow to begin, as under load, waits for its retry: that wait is passed over.
        """
        for _ in range(10):
            await self.stack.work()
            self.stack.rows(PASS_OVER)
            if not self.stack.rows(WAITING):
                return
        raise AssertionError("jobs keep coming")

    async def press(self, page: str, outcome: str = "pay") -> httpx.Response:
        """Press a button on the provider's page; returns once its events have been posted."""
        answer = await self.outside.post(page, data={"outcome": outcome})
        await self.delivered()
        return answer

    async def paid(self, customer: Customer, provider: str = "stripe") -> str:
        """Pay the customer's invoice to the end; the reference of the payment."""
        started = (await customer.pay(provider)).data
        await self.press(started["payment_url"])
        await self.work()
        return (await self.attempts(customer))[-1].reference or ""

    async def control(self, target: str, **values: Any) -> dict[str, Any]:
        """Set faults (`control("stripe", fail_next=1)`) or make things happen (`control("stripe/dispute", …)`)."""
        path, body = (f"/control/{target}", values) if "/" in target else ("/control", {"provider": target, **values})
        answer = await self.outside.post(path, json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def delivered(self) -> None:
        """Wait until the sandbox has nothing left to post that it may post."""
        state: dict[str, Any] = {}
        for _ in range(400):
            state = (await self.outside.get("/control")).json()
            if not any(each["deliveries"]["waiting"] for each in state.values() if not each["hold_webhooks"]):
                return
            await asyncio.sleep(0.025)
        raise AssertionError(f"the sandbox still posts: {state}")

    async def cycle(self, customer: Customer) -> invoices.Cycle:
        """The invoice as it stands."""
        async with self._read(customer) as tenant:
            return await invoices.get(tenant, customer.cycle_id)

    async def attempts(self, customer: Customer) -> list[Attempt]:
        """Every attempt to pay the invoice."""
        async with self._read(customer) as tenant:
            return await payments.of_invoice(tenant, customer.cycle_id)

    async def differences(self, customer: Customer) -> list[reconciliation.Difference]:
        """What the reconciliation finds wrong."""
        async with self._read(customer) as tenant:
            return await reconciliation.reconcile(tenant)

    def outcomes(self, customer: Customer) -> list[str | None]:
        """What came of the customer's events, in order of arrival."""
        return [
            row[0]
            for row in self.stack.rows(
                "select outcome from billing.payment_events where organization_id = %s order by received_at",
                customer.founded.organization_id,
            )
        ]

    def _read(self, customer: Customer) -> Any:
        return self.worker.database.tenant(customer.founded.organization_id, SYSTEM, read_only=True)

    async def log_in(self, founded: Founded) -> tuple[str, str]:
        """A new session of the owner: its token, and the organization's billing contact."""
        now = self.stack.clock.now()
        async with self.worker.database.tenant(founded.organization_id, SYSTEM) as tenant:
            session_id = await sessions.open_session(
                tenant, account_id=founded.account_id, user_id=founded.user_id, user_agent="tests",
                address="127.0.0.1", now=now, expires_at=now + timedelta(days=30),
            )  # fmt: skip
            email = await tenant.conn.fetchval(
                "select email from tenancy.organizations where organization_id = $1", founded.organization_id
            )
        token, _ = tokens.issue(
            self.stack.settings, account_id=founded.account_id, user_id=founded.user_id,
            organization_id=founded.organization_id, session_id=session_id, now=now,
        )  # fmt: skip
        return token, email


@pytest.fixture(scope="module")
async def shop(urls: Urls, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """The product over this module's own database, with a sandbox of its own."""
    folder, port = tmp_path_factory.mktemp("shop"), free_port()
    async with AsyncExitStack() as cleanup:
        mailbox = Mailbox(folder / "mail")
        cleanup.callback(mailbox.close)
        catcher = await start_smtp(0, mailbox)
        cleanup.push_async_callback(catcher.stop)
        api = with_providers(settings_for(urls.api, redis_url, catcher.port, folder), port)
        worker = with_providers(settings_for(urls.worker, redis_url, catcher.port, folder), port)
        clock = TurnableClock()
        http, resources = await cleanup.enter_async_context(serving(api, clock))
        config = sandbox_config(folder, f"{str(http.base_url).rstrip('/')}/api/v1/webhooks", port)
        base = await cleanup.enter_async_context(_in_thread(config))
        work = await cleanup.enter_async_context(open_resources(worker, clock))
        outside = await cleanup.enter_async_context(httpx.AsyncClient(base_url=base, timeout=20))
        yield Shop(Stack(api, worker, clock, mailbox, resources, http, urls), work, base, outside)


def with_providers(settings: Settings, port: int) -> Settings:
    """The settings with both payment providers, spoken by the sandbox on `port`."""
    base = f"http://127.0.0.1:{port}"
    given = settings.model_dump() | {
        "stripe_secret_key": STRIPE_KEY,
        "stripe_webhook_secret": STRIPE_SECRET,
        "stripe_api_base": f"{base}/stripe",
        "paystack_secret_key": PAYSTACK_KEY,
        "paystack_api_base": f"{base}/paystack",
    }
    return Settings.model_validate(given)


def sandbox_config(folder: Path, webhook_base: str, port: int) -> SandboxConfig:
    """A sandbox that posts its events to the product."""
    return SandboxConfig(
        data_dir=folder / f"sandbox-{new_id()}",
        stripe_key=STRIPE_KEY,
        stripe_webhook_secret=STRIPE_SECRET,
        paystack_key=PAYSTACK_KEY,
        twilio_sid="AC00000000000000000000000000000001",
        twilio_token="twilio-token",
        webhook_base=webhook_base,
        http_port=port,
    )


class _in_thread:  # noqa: N801 - used as a function
    """The sandbox in a thread: starting and stopping it must not hold this loop, which answers its posts."""

    def __init__(self, config: SandboxConfig) -> None:
        self._manager = running(config)

    async def __aenter__(self) -> str:
        return await asyncio.to_thread(self._manager.__enter__)

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self._manager.__exit__, None, None, None)
