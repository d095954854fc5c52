"""The providers' inbox worked off, attempts that were never heard of, and the daily look at what providers hold."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from db import payment_events, payments, work
from db.payment_events import Event
from db.payments import Attempt, Told
from db.types import Actor, OrganizationId, PaymentId
from jobs import settlement
from jobs.app import global_job, job, periodic
from jobs.providers.errors import ProviderError, ProviderRefused
from jobs.providers.payments import PaymentProvider, PaymentState
from jobs.resources import Resources

WORKER = Actor("job")
UNHEARD_AFTER = timedelta(minutes=15)
NEVER_ANSWERED_AFTER = timedelta(hours=1)
LOOK_BACK = timedelta(days=3)
log = structlog.get_logger()


@global_job(queue="billing")
async def handle_event(resources: Resources, provider: str, event_id: str) -> None:
    """Match an event of the inbox to its payment, ask the provider, and settle; its outcome commits with its effect."""
    async with resources.database.resolver(read_only=True) as conn:
        event = await payment_events.find(conn, provider, event_id)
    if event is None or event.outcome is not None:
        return
    client = settlement.provider_of(resources, provider)
    early = _without_asking(event, client)
    if early is not None or event.reference is None:
        await _finish(resources, event, early or "ignored")
        return
    try:
        state = await client.fetch(event.reference)
    except ProviderRefused as refusal:
        log.error("payment_event.unknown_to_provider", event_id=event_id, code=refusal.code)
        await _finish(resources, event, "unknown_to_provider")
        return
    await _settle_event(resources, event, state)


def _without_asking(event: Event, client: PaymentProvider) -> str | None:
    """The outcome of an event that says nothing about a payment of ours."""
    if event.type == "unknown":
        return "ignored"
    if event.is_live != client.livemode:
        log.error("payment_event.wrong_mode", event_id=event.event_id, is_live=event.is_live)
        return "wrong_mode"
    return None


async def _settle_event(resources: Resources, event: Event, state: PaymentState) -> None:
    async with resources.database.resolver(read_only=True) as conn:
        found = await payment_events.resolve(conn, event.provider, state.reference)
    if found is None and state.status not in ("succeeded", "refunded"):
        # A page that nobody was shown, because its address never came back to us, has closed: nothing was paid on it.
        await _finish(resources, event, "ignored")
        return
    if found is None:
        is_ours = "attempt_id" in state.metadata
        (log.error if is_ours else log.info)("payment_event.unmatched", event_id=event.event_id, type=event.type)
        await _finish(resources, event, "unmatched")
        return
    organization_id, payment_id = found
    async with resources.database.tenant(organization_id, WORKER) as tenant:
        told = await payment_events.disputes(tenant.conn, event) if event.type == "dispute" else []
        outcome = await settlement.settle(resources, tenant, payment_id, state, dispute_of(told))
        await payment_events.finish(tenant.conn, event, outcome, organization_id, resources.clock.now())
    log.info("payment_event.handled", event_id=event.event_id, type=event.type, outcome=outcome)


async def _finish(resources: Resources, event: Event, outcome: str) -> None:
    async with resources.database.resolver() as conn:
        await payment_events.finish(conn, event, outcome, None, resources.clock.now())


def dispute_of(events: list[Event]) -> Told | None:
    """What the events of a payment's dispute say together, in whatever order they came; None without any.

    It is open until one says that it is over; what one says is lost stays lost.
    """
    if not events:
        return None
    said = [_subject(event) for event in events]
    lost = [int(dispute.get("amount") or dispute.get("refund_amount") or 0) for dispute in said if _is_lost(dispute)]
    is_over = bool(lost) or any(dispute.get("status") in ("won", "warning_closed", "resolved") for dispute in said)
    return Told("", 0, None, charged_back_minor=max(lost, default=0), is_disputed=not is_over)


def _subject(event: Event) -> dict[str, Any]:
    data: dict[str, Any] = event.payload.get("data") or {}
    return (data.get("object") or {}) if event.provider == "stripe" else data


def _is_lost(dispute: dict[str, Any]) -> bool:
    return dispute.get("status") == "lost" or dispute.get("resolution") in ("merchant-accepted", "auto-accepted")


@periodic(cron="*/5 * * * *", queue="billing")
async def review_unheard(resources: Resources, timestamp: int) -> None:
    """Give every organization with a live attempt its job."""
    async for organization_id in work.waiting(resources.database, "payments"):
        async with resources.database.tenant(organization_id, WORKER) as tenant:
            await review.configure(lock="review").defer(tenant)


@job(queue="billing")
async def review(resources: Resources, organization_id: OrganizationId) -> None:
    """Ask about attempts that were not heard of for a quarter of an hour, and end those whose page has closed."""
    now = resources.clock.now()
    async with resources.database.tenant(organization_id, WORKER) as tenant:
        unheard = await payments.unheard(tenant, now - UNHEARD_AFTER)
        await work.withdraw(tenant, "payments")
        if await payments.has_live(tenant):
            await work.announce(tenant, "payments")
    for attempt in unheard:
        await _review_one(resources, organization_id, attempt, now)


async def _review_one(resources: Resources, organization_id: OrganizationId, attempt: Attempt, now: datetime) -> None:
    if attempt.reference is None:
        # The provider never answered, so nobody has seen a page to pay on.
        if now - attempt.created_at > NEVER_ANSWERED_AFTER:
            await _end(resources, organization_id, attempt.id, now)
        return
    try:
        state = await settlement.ask(resources, organization_id, attempt)
        if state.status == "pending" and attempt.expires_at <= now:
            await settlement.provider_of(resources, attempt.provider).expire(attempt.reference)
            await _end(resources, organization_id, attempt.id, now)
    except ProviderError as error:
        log.warning("payment.review_failed", payment_id=str(attempt.id), reason=str(error))


async def _end(resources: Resources, organization_id: OrganizationId, payment_id: UUID, now: datetime) -> None:
    async with resources.database.tenant(organization_id, WORKER) as tenant:
        await payments.end(tenant, PaymentId(payment_id), "expired", now)


@periodic(cron="40 4 * * *", queue="billing")
async def review_days(resources: Resources, timestamp: int) -> None:
    """Compare three days of every provider's payments with ours: an event may have been lost, money never is."""
    for client in resources.payments.values():
        try:
            async for state in client.list_payments(resources.clock.now() - LOOK_BACK):
                if state.status in ("succeeded", "refunded") or state.refunded_minor:
                    await _compare(resources, client, state)
        except ProviderError as error:
            log.warning("payment.days_not_reviewed", provider=client.name, reason=str(error))


async def _compare(resources: Resources, client: PaymentProvider, state: PaymentState) -> None:
    async with resources.database.resolver(read_only=True) as conn:
        found = await payment_events.resolve(conn, client.name, state.reference)
    if found is None:
        if "attempt_id" in state.metadata:
            log.error("payment.unknown_here", provider=client.name, reference=state.reference)
        return
    organization_id, payment_id = found
    async with resources.database.tenant(organization_id, WORKER) as tenant:
        attempt = await payments.get(tenant, payment_id)
        if attempt and (not attempt.succeeded_minor or attempt.refunded_minor != state.refunded_minor):
            outcome = await settlement.settle(resources, tenant, payment_id, state)
            log.warning("payment.caught_up", payment_id=str(payment_id), outcome=outcome)
