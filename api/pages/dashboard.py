"""The dashboard: the figures of the month, thirty days of requests, and what each key did."""

from starlette.responses import Response

from api import dashboard as endpoints
from api.http import UserCall
from api.pages.graph import graph
from api.pages.render import page
from api.pages.router import Pages, Rule
from db import dashboard

pages = Pages("Dashboard")


@pages.show("/dashboard", Rule.of(endpoints.router, endpoints.stats))
async def overview(call: UserCall) -> Response:
    """The dashboard."""
    now = call.now()
    if call.resources.seen.is_due(call.seat.session_id, now):
        call.after_commit(lambda: _touch(call))
    return await page(
        call,
        "dashboard.html",
        stats=await dashboard.stats(call.tenant, now),
        graph=graph(await dashboard.usage_graph(call.tenant, now)),
        keys=await dashboard.api_keys(call.tenant, now),
        base_url=call.settings.base_url,
    )


async def _touch(call: UserCall) -> None:
    """The figures only read, and may come from a replica: that somebody looked is written apart."""
    async with call.transaction() as tenant:
        await call.resources.seen.touch(tenant, call.seat.session_id, call.now())
