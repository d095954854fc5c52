"""Usage for the programs that make it: what the dashboard shows of it, to an API key that may read it."""

from api.http import KeyCall, Router, Scope
from api.usage_answers import UsageAnswer, UsageQuery, usage_in

router = Router("/usage", tag="Usage")


@router.get("", access=Scope.USAGE_READ)
async def usage(call: KeyCall, query: UsageQuery) -> UsageAnswer:
    """Usage of the organization and its cost, by endpoint, key and day; counted until the moment of the request."""
    return await usage_in(call.tenant, query, call.now())
