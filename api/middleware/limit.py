"""How often: rate limit and quota of API keys with their headers, and limits by address and by user."""

from api.address import prefix
from api.declaration import Limit
from api.exchange import Exchange
from api.middleware.authentication import presented_key
from db.limits import Admission
from db.types import UserId
from jobs.resources import Resources


async def by_address(limit: Limit | None, exchange: Exchange, resources: Resources) -> None:
    """Count a call against the caller's network (/24, /64); raises TooMany."""
    if limit is not None:
        await resources.limits.hit(limit.name, prefix(exchange.address), limit.count, limit.window)


async def by_user(limit: Limit | None, user_id: UserId, resources: Resources) -> None:
    """Count a call against the user; raises TooMany."""
    if limit is not None:
        await resources.limits.hit(limit.name, str(user_id), limit.count, limit.window)


async def by_key(exchange: Exchange, resources: Resources) -> Admission:
    """Resolve the key, its rate limit and its quota in one round trip, and put the limit's headers on the answer.

    Raises Unauthorized for a key that is missing or not valid; a refusal by the limits is in the admission.
    """
    admission = await resources.limits.admit(presented_key(exchange))
    exchange.belongs_to(admission.key.organization_id)
    exchange.headers += admission.headers
    return admission
