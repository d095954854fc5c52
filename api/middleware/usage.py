"""Every answer to a valid key is recorded, and its record committed, before it leaves."""

from api.endpoint import Endpoint
from api.exchange import Exchange
from api.reply import Reply
from db.errors import Unavailable
from db.limits import Admission
from db.usage import UsageRecord
from jobs.resources import Resources


def billable(status: int, reached: bool) -> bool:
    """Whether an answer counts: it reached a handler, and is not 401, 429 or a fault of ours."""
    return reached and status < 500 and status not in (401, 429)


async def record(
    endpoint: Endpoint, exchange: Exchange, resources: Resources, admission: Admission, reply: Reply, reached: bool
) -> Reply:
    """Commit the usage record of `reply` and hand it back, or a 503 in its place when that fails."""
    charged = not (exchange.replayed or admission.key.is_test) and billable(reply.status, reached)
    entry = UsageRecord(
        id=exchange.record_id,
        organization_id=admission.key.organization_id,
        api_key_id=admission.key.api_key_id,
        plan=admission.key.plan,
        endpoint=endpoint.declared.template,
        method=endpoint.declared.method,
        status_code=reply.status,
        duration_us=int(exchange.duration * 1_000_000),
        is_billable=charged,
        occurred_at=resources.clock.now(),
    )
    try:
        await resources.usage.record(entry)
    except Unavailable as error:
        reply, charged = endpoint.error(error, exchange), False
    if not charged:
        await resources.limits.give_back(admission)
    return reply
