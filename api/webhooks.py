"""What payment providers tell us: the raw bytes are verified, stored once, and left to a job."""

import structlog
from prometheus_client import Counter

from api.errors import Refused
from api.fields import Answer
from api.http import SIGNED, Router, SignedCall
from api.inputs import not_found
from db import payment_events
from db.errors import Invalid
from db.payment_events import Event
from db.payments import ProviderName
from jobs.payments import handle_event
from jobs.providers.errors import SignatureError
from jobs.providers.payments import ProviderEvent

router = Router("/webhooks", tag="Webhooks")
log = structlog.get_logger()
REFUSED = Counter("webhooks_refused_total", "Posts to a provider's webhook that were not proven", ["provider", "fault"])
JSON = "application/json"


class Received(Answer):
    """The event is stored."""

    received: bool


@router.post("/stripe", access=SIGNED)
async def stripe(call: SignedCall) -> Received:
    """An event of Stripe, signed with the endpoint's secret."""
    return await _receive(call, "stripe")


@router.post("/paystack", access=SIGNED)
async def paystack(call: SignedCall) -> Received:
    """An event of Paystack, signed with the account's secret key."""
    return await _receive(call, "paystack")


async def _receive(call: SignedCall, name: ProviderName) -> Received:
    """Store a proven event and queue its job in one transaction; one that came before changes nothing."""
    provider = call.resources.payments.get(name)
    if provider is None or not provider.accepts_webhooks:
        raise not_found()
    _require_json(call)
    try:
        told = provider.parse_webhook(call.raw, call.request.headers, call.now())
    except SignatureError as error:
        REFUSED.labels(name, error.fault).inc()
        log.warning("webhook.refused", provider=name, fault=error.fault)
        raise Invalid("INVALID_REQUEST", "The event is not proven to come from the provider") from error
    async with call.resources.database.resolver() as conn:
        if await payment_events.store(conn, _event(call, name, told)):
            await handle_event.defer(conn, provider=name, event_id=told.event_id)
    log.info("webhook.received", provider=name, event_id=told.event_id, type=told.raw_type)
    return Received(received=True)


def _require_json(call: SignedCall) -> None:
    """What says that it is something else is not an event. One that says nothing is judged by its signature."""
    kind = call.request.headers.get("content-type", JSON).split(";")[0].strip().lower()
    if kind != JSON:
        raise Refused(415, "INVALID_REQUEST", f"Send the body as {JSON}", {"Accept": JSON})


def _event(call: SignedCall, name: ProviderName, told: ProviderEvent) -> Event:
    return Event(name, told.event_id, told.type, told.reference, told.livemode, told.payload, call.now())
