"""Usage in the browser: what was used, by day, endpoint and key, and what it cost."""

from datetime import date, timedelta

from starlette.responses import Response

from api import billing as endpoints
from api.http import UserCall
from api.pages.forms import EMPTY, Filled
from api.pages.graph import graph
from api.pages.render import page
from api.pages.router import Pages, Rule
from api.usage_answers import UsageQuery
from db.errors import Invalid

pages = Pages("Usage")


@pages.show("/usage", Rule.of(endpoints.router, endpoints.usage))
async def usage(call: UserCall, query: UsageQuery) -> Response:
    """The figures of some days; days that make no sense are answered with this month's and the reason."""
    filled = EMPTY
    try:
        found = await endpoints.usage(call, query)
    except Invalid as refusal:
        filled = Filled.of_query(refusal)
        found = await endpoints.usage(call, UsageQuery())
    today = call.now().date()
    response = await page(
        call, "usage.html", usage=found, graph=graph(found.daily_breakdown), today=today, ranges=_ranges(today),
        filled=filled,
    )  # fmt: skip
    response.status_code = filled.status
    return response


def _ranges(today: date) -> list[tuple[str, date, date]]:
    """Days that people ask for most."""
    month = today.replace(day=1)
    before = month - timedelta(days=1)
    return [
        ("This month", month, today),
        ("Last month", before.replace(day=1), before),
        ("30 days", today - timedelta(days=29), today),
        ("90 days", today - timedelta(days=89), today),
    ]
