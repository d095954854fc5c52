"""Stripe's events: kept for the list endpoint and posted, signed, to the product."""

import json

import stripe

from jobs.providers.sandbox.state import Sandbox
from jobs.providers.sandbox.store import Body
from jobs.providers.sandbox.stripe.objects import new_id, now

API_VERSION = "2026-10-28.endive"


def emit(sandbox: Sandbox, kind: str, subject: Body, request_id: str | None = None, key: str | None = None) -> None:
    """Record that something happened to `subject` and post it, in the caller's transaction."""
    event: Body = {
        "id": new_id("evt_1"),
        "object": "event",
        "api_version": API_VERSION,
        "context": None,
        "created": now(),
        "data": {"object": subject},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": request_id, "idempotency_key": key},
        "type": kind,
    }
    sandbox.store.put("event", event)
    post(sandbox, event)


def post(sandbox: Sandbox, event: Body) -> None:
    """Queue an event for the product's endpoint; also how one is sent again."""
    if sandbox.config.webhook_base:
        body = json.dumps(event, indent=2).encode()
        sandbox.couriers["stripe"].post(f"{sandbox.config.webhook_base}/stripe", event["id"], body)


def signature(secret: str, body: bytes) -> dict[str, str]:
    """The header of one delivery: every attempt carries its own time."""
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret)
    return {"stripe-signature": header, "user-agent": "Stripe/1.0 (sandbox)"}
