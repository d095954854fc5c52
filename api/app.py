"""The HTTP application: middleware in the order a request meets it, the routes of every subject, the lifespan."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp

from api import (
    audit,
    auth,
    billing,
    credit_notes,
    dashboard,
    dev_mail,
    docs,
    health,
    invitations,
    jwks,
    keys,
    mail_reports,
    messages,
    openapi,
    organizations,
    pages,
    sessions,
    suppressions,
    team,
    unsubscribe,
    usage,
    webhooks,
)
from api.address import networks
from api.exchange import Edge
from api.http import Router
from api.metrics import QueueFigures
from api.middleware.body_limit import BodyLimit
from api.middleware.cors import Cors
from api.middleware.logging import Logging
from api.middleware.recovery import Recovery
from api.middleware.request_id import RequestId
from api.middleware.security_headers import SecurityHeaders
from api.pages import refusals
from api.routing import RouteTable, Straight
from api.signing_keys import signing_keys
from api.static import Static
from db import checks
from db.errors import Unavailable
from jobs import logs
from jobs.resources import Resources, open_resources
from settings import ROOT, Settings

# The endpoints of every subject, in the order of the documentation.
SUBJECTS: tuple[Router, ...] = (
    auth.router,
    sessions.router,
    organizations.router,
    team.router,
    invitations.router,
    keys.router,
    dashboard.router,
    messages.router,
    messages.callbacks,
    mail_reports.router,
    suppressions.router,
    usage.router,
    billing.router,
    credit_notes.router,
    webhooks.router,
    audit.router,
    health.router,
    health.probes,
    jwks.router,
    unsubscribe.router,
    dev_mail.router,
    *pages.ROUTERS,
)
START_SECONDS = 30


def create_app(settings: Settings | None = None, subjects: Iterable[Router] = SUBJECTS) -> Starlette:
    """The application for these settings, or those of the environment.

    Raises SettingsError for wrong settings; resources are opened when the server starts, and closed when it stops.
    """
    settings = settings or Settings.from_env(os.environ)
    logs.configure(settings.log_level)
    signing_keys(settings)  # wrong ones stop the start
    routers = [*subjects, docs.router, openapi.router]
    table = RouteTable(endpoint for router in routers for endpoint in router.endpoints)
    app = Application(table, middleware=_middleware(settings), lifespan=_lifespan(settings, routers))
    app.router.redirect_slashes = False
    return app


class Application(Starlette):
    """Starlette with our middleware alone: its two steps for errors are left out, since Recovery does what both do."""

    def __init__(self, table: RouteTable, **options: Any) -> None:
        super().__init__(routes=[table, Mount("/static", Static(ROOT / "static"))], **options)
        self.table = table

    def build_middleware_stack(self) -> ASGIApp:
        """The steps around the router, the first one outermost."""
        app: ASGIApp = Straight(self.table, self.router)
        for cls, args, kwargs in reversed(self.user_middleware):
            app = cls(app, *args, **kwargs)
        return app


def _middleware(settings: Settings) -> list[Middleware]:
    edge = Edge(settings.base_url.rstrip("/"), networks(settings.trusted_proxies))
    return [
        Middleware(RequestId, edge=edge),
        Middleware(Logging),
        Middleware(Recovery, unrouted=refusals.unrouted),
        Middleware(SecurityHeaders),
        Middleware(Cors, origins=settings.cors_origins),
        Middleware(BodyLimit),
    ]


async def _check_self(resources: Resources) -> None:
    """Refuse to serve on a connection that row security does not bind; waits for a Postgres that is still starting.

    Raises UnsafeRole, or Unavailable when Postgres does not come up in thirty seconds.
    """
    for seconds_left in range(START_SECONDS, -1, -1):
        try:
            async with resources.database.resolver(read_only=True) as conn:
                await checks.refuse_unsafe(conn)
            return
        except Unavailable:
            if seconds_left == 0:
                raise
            await asyncio.sleep(1)


def _lifespan(settings: Settings, routers: list[Router]) -> Any:
    document = openapi.Document(routers, settings.base_url)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with open_resources(settings) as resources:
            await _check_self(resources)
            if resources.replica:
                await resources.replica.start()
            gc.collect()
            gc.set_threshold(20_000, 20, 50)  # a request leaves few cycles behind, and is not to pay for looking
            gc.freeze()  # what was imported stays: the collector need not walk through it under load
            yield {"resources": resources, "openapi": document, "figures": QueueFigures(resources.database)}

    return lifespan
