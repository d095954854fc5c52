"""Whether the service lives, is healthy, is ready, and what it measures."""

from starlette.responses import JSONResponse, PlainTextResponse, Response

from api.http import PUBLIC, PublicCall, Router
from api.metrics import QueueFigures, exposition
from db import checks
from db.errors import Unavailable
from jobs.resources import Resources

router = Router("", tag="Health")
probes = Router("", tag="Health", base="")


@router.get("/health", access=PUBLIC, limit=None, quiet=True)
async def health(call: PublicCall) -> Response:
    """Health.

    Answers `{"status": "healthy"}`, or 503 with the reason.
    """
    reasons = await _database(call.resources) or await _redis(call.resources)
    if reasons:
        return JSONResponse({"status": "unhealthy", "reason": reasons[0]}, 503)
    return JSONResponse({"status": "healthy"})


@probes.get("/health", access=PUBLIC, limit=None, quiet=True)
async def unversioned(call: PublicCall) -> Response:
    """Health, for those who know no version."""
    return await health(call)


@probes.get("/livez", access=PUBLIC, limit=None, quiet=True)
async def live(call: PublicCall) -> Response:
    """Liveness.

    Whether this process answers at all; asks nothing of Postgres or Redis.
    """
    return JSONResponse({"status": "alive"})


@probes.get("/readyz", access=PUBLIC, limit=None, quiet=True)
async def ready(call: PublicCall) -> Response:
    """Readiness.

    Whether this process should be sent requests: its database answers and keeps tenants apart. Without Redis
    or its read replica it is degraded, and serves all the same.
    """
    reasons = await _database(call.resources) or await _verdicts(call.resources)
    if reasons:
        return JSONResponse({"status": "not ready", "reasons": reasons}, 503)
    degraded = await _redis(call.resources) + _replica(call.resources)
    return JSONResponse({"status": "degraded" if degraded else "ready", "reasons": degraded})


@probes.get("/metrics", access=PUBLIC, limit=None, quiet=True)
async def metrics(call: PublicCall) -> Response:
    """Metrics, in Prometheus's text format."""
    figures: QueueFigures = call.exchange.scope["state"]["figures"]
    body, kind = exposition(await figures.read())
    return PlainTextResponse(body, media_type=kind)


async def _database(resources: Resources) -> list[str]:
    try:
        async with resources.database.resolver(read_only=True):
            return []
    except Unavailable:
        return ["database connection failed"]


async def _redis(resources: Resources) -> list[str]:
    try:
        await resources.limits.ping()
        return []
    except Unavailable:
        return ["redis connection failed"]


def _replica(resources: Resources) -> list[str]:
    replica = resources.replica
    return [f"replica {replica.trouble}"] if replica and replica.trouble else []


async def _verdicts(resources: Resources) -> list[str]:
    async with resources.database.resolver(read_only=True) as conn:
        return [verdict.reason for verdict in await checks.verdicts(conn) if not verdict.ok]
