"""The sandboxes as one application: Stripe, Paystack, Twilio and the mailbox behind one port."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from jobs.providers.sandbox.config import SandboxConfig
from jobs.providers.sandbox.control import control_routes
from jobs.providers.sandbox.courier import Courier, Sign
from jobs.providers.sandbox.faults import Faults
from jobs.providers.sandbox.mail import Mailbox, mail_routes
from jobs.providers.sandbox.overview import index
from jobs.providers.sandbox.paystack import events as paystack_events
from jobs.providers.sandbox.paystack import refunds as paystack_refunds
from jobs.providers.sandbox.paystack.routes import routes as paystack_routes
from jobs.providers.sandbox.schedule import Schedule
from jobs.providers.sandbox.state import Sandbox
from jobs.providers.sandbox.store import Store
from jobs.providers.sandbox.stripe import events as stripe_events
from jobs.providers.sandbox.stripe import sessions
from jobs.providers.sandbox.stripe.routes import routes as stripe_routes
from jobs.providers.sandbox.twilio import messages
from jobs.providers.sandbox.twilio.routes import routes as twilio_routes

PROVIDERS = ("stripe", "paystack", "twilio")
log = logging.getLogger("sandbox")


def create_app(config: SandboxConfig, mailbox: Mailbox | None = None) -> Starlette:
    """The application; without `mailbox` it opens the one in the data folder."""
    config.data_dir.mkdir(parents=True, exist_ok=True)
    sandbox = _sandbox(config)
    app = Starlette(
        routes=_routes(sandbox, mailbox or Mailbox(config.data_dir)), lifespan=partial(_lifespan, sandbox=sandbox)
    )
    app.state.sandbox = sandbox
    return app


def _sandbox(config: SandboxConfig) -> Sandbox:
    store = Store(config.data_dir / "sandbox.sqlite3")
    faults = {name: Faults() for name in PROVIDERS}
    signers: dict[str, Sign] = {
        "stripe": lambda url, body: stripe_events.signature(config.stripe_webhook_secret, body),
        "paystack": lambda url, body: paystack_events.signature(config.paystack_key, body),
        "twilio": lambda url, body: messages.signature(config.twilio_token, url, body),
    }
    couriers = {
        name: Courier(name, store, faults[name], signers[name], only_200=name == "paystack") for name in PROVIDERS
    }
    return Sandbox(config, store, Schedule(store), faults, couriers)


def _routes(sandbox: Sandbox, mailbox: Mailbox) -> list[BaseRoute]:
    return [
        Route("/", index, methods=["GET"]),
        Route("/healthz", healthz, methods=["GET"]),
        *control_routes(),
        *stripe_routes(sandbox.faults["stripe"]),
        *paystack_routes(sandbox.faults["paystack"]),
        *twilio_routes(sandbox.faults["twilio"]),
        Mount("/mail", routes=mail_routes(mailbox)),
    ]


async def healthz(request: Request) -> Response:
    """200 while the sandbox serves."""
    return Response("ok\n", media_type="text/plain")


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette, sandbox: Sandbox) -> AsyncIterator[None]:
    steps = {
        "stripe": partial(sessions.on_step, sandbox),
        "paystack": partial(paystack_refunds.on_step, sandbox),
        "twilio": partial(messages.on_step, sandbox),
    }
    loops: list[Coroutine[Any, Any, None]] = [sandbox.schedule.run(steps)]
    loops += [courier.run() for courier in sandbox.couriers.values()]
    tasks = [asyncio.create_task(loop) for loop in loops]
    for task in tasks:
        task.add_done_callback(_report)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        sandbox.store.close()


def _report(task: asyncio.Task[None]) -> None:
    """A background loop never ends by itself; when one breaks, somebody must read why."""
    if not task.cancelled() and task.exception():
        log.critical("a background loop of the sandbox broke", exc_info=task.exception())
