"""The inbox of what payment providers say: verified, stored once, handled by a job."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from db.payments import ProviderName
from db.statements import load
from db.types import OrganizationId, PaymentId

queries = load("payment_events")


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the inbox; `outcome` is None until a job was done with it."""

    provider: ProviderName
    event_id: str
    type: str
    reference: str | None
    is_live: bool
    payload: dict[str, Any]
    received_at: datetime
    outcome: str | None = None


async def resolve(conn: Any, provider: str, reference: str) -> tuple[OrganizationId, PaymentId] | None:
    """Organization and attempt that a provider's reference leads to. For the worker's role."""
    row = await queries.resolve(conn, provider=provider, reference=reference)
    return (row["organization_id"], row["payment_id"]) if row else None


async def store(conn: Any, event: Event) -> bool:
    """Put a verified event into the inbox; False when it is there already."""
    stored: int = await queries.store(
        conn, provider=event.provider, event_id=event.event_id, type=event.type, reference=event.reference,
        is_live=event.is_live, payload=_storable(event.payload), now=event.received_at,
    )  # fmt: skip
    return stored == 1


async def find(conn: Any, provider: str, event_id: str) -> Event | None:
    """An event of the inbox. For the worker's role."""
    row = await queries.get(conn, provider=provider, event_id=event_id)
    return Event(**row) if row else None


async def disputes(conn: Any, event: Event) -> list[Event]:
    """Every event about the dispute of the payment that `event` speaks of. For the worker's role."""
    rows = queries.disputes(conn, provider=event.provider, reference=event.reference)
    return [Event(**row) async for row in rows]


async def finish(conn: Any, event: Event, outcome: str, organization_id: OrganizationId | None, now: datetime) -> None:
    """Write what came of an event, once."""
    await queries.finish(
        conn,
        provider=event.provider,
        event_id=event.event_id,
        outcome=outcome,
        organization_id=organization_id,
        now=now,
    )


def _storable(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload without the one character that jsonb cannot hold."""
    stored: dict[str, Any] = json.loads(json.dumps(payload).replace("\\u0000", ""))
    return stored
