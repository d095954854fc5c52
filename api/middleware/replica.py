"""Where a large read is answered: on the replica if it has all that the organization has written, else on the primary.

Only endpoints that declare `replica=True` are asked for it: figures, lists and documents that can be large. Everything
that decides something stays on the primary – the seat behind a session and its role, the status of the organization, an
API key and its limits, every write and whatever a write reads first – because a demotion, a revoked session or a spent
quota must act at once, also while the replica lags. So a person's seat is read on the primary before this is reached,
and a key is admitted there; what comes from the replica is only shown.
"""

from api.call import TenantCall
from api.endpoint import Endpoint
from api.reply import Reply
from db.replica import ElsewhereError
from db.types import LogPosition


async def place(endpoint: Endpoint, call: TenantCall) -> LogPosition | None:
    """What the replica must have replayed to answer this call; None when the primary answers it."""
    replica = call.resources.replica
    if replica is None or not endpoint.declared.replica:
        return None
    return await replica.place(call.organization_id)


async def read(endpoint: Endpoint, call: TenantCall, raw: bytes, replayed: LogPosition) -> Reply:
    """The answer from the replica; whatever goes wrong there, the whole read is made once more on the primary."""
    collected = list(call.exchange.headers)
    try:
        async with call.transaction(replayed=replayed):
            return await endpoint.run(call, raw)
    except ElsewhereError:
        call.exchange.headers = collected
    async with call.transaction(read_only=True):
        return await endpoint.run(call, raw)
