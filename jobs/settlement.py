"""Writes what a provider says about a payment into the books, after five checks, for events, reviews and refunds.

Nothing an event claims is believed beyond its signature: the provider is asked for the payment's state, so that
duplicates, replays and events out of order all end in the same books.
"""

from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog

from db import organizations, payments, work
from db.payments import Attempt, Told
from db.pool import Tenant
from db.types import Actor, OrganizationId, PaymentId
from jobs import dunning, email
from jobs.app import GiveUp, job
from jobs.providers.errors import ProviderRefused
from jobs.providers.payments import PaymentProvider, PaymentState
from jobs.resources import Resources

WORKER = Actor("job")
log = structlog.get_logger()


async def settle(
    resources: Resources, tenant: Tenant, payment_id: PaymentId, state: PaymentState, dispute: Told | None = None
) -> str:
    """Apply the provider's word to a payment in the caller's transaction; what came of it, in a word.

    A payment that fails a check stays as it is and is reported: wrong_mode, wrong_currency, wrong_amount,
    wrong_organization. Otherwise `applied`; `refund_failed` when less was given back than had been promised.
    """
    attempt = await payments.get(tenant, payment_id)
    if attempt is None:
        return _alarm(tenant, payment_id, "unmatched")
    wrong = mismatch(attempt, state, tenant.organization_id, resources.payments[attempt.provider])
    if wrong is not None:
        return _alarm(tenant, payment_id, wrong)
    await _apply(resources, tenant, attempt, _told(state, dispute))
    if state.refunded_minor < attempt.refunded_minor:
        return _alarm(tenant, payment_id, "refund_failed")
    return "applied"


def mismatch(
    attempt: Attempt, state: PaymentState, organization_id: OrganizationId, provider: PaymentProvider
) -> str | None:
    """Why a state cannot be an attempt's, None when it can; metadata need not be there but must not contradict."""
    if state.livemode != provider.livemode:
        return "wrong_mode"
    if state.currency != attempt.currency:
        return "wrong_currency"
    if state.amount_minor != attempt.amount_minor:
        return "wrong_amount"
    ours = {
        "organization_id": organization_id,
        "attempt_id": attempt.id,
        "billing_cycle_id": attempt.billing_cycle_id,
    }
    said = state.metadata
    if state.reference != attempt.reference or any(said.get(name, str(own)) != str(own) for name, own in ours.items()):
        return "wrong_organization"
    return None


async def _apply(resources: Resources, tenant: Tenant, attempt: Attempt, told: Told) -> None:
    applied = await payments.apply(tenant, attempt.id, told, resources.clock.now())
    await dunning.review_keys(resources, tenant)
    if applied.is_newly_paid:
        organization = await organizations.get(tenant)
        await email.enqueue(tenant, "payment_success", subject_id=attempt.id, recipient=organization.email)
        log.info("invoice.paid", billing_cycle_id=str(applied.cycle_id), payment_id=str(attempt.id))
        left = await payments.live(tenant, applied.cycle_id)
        if left is not None:
            await retire.defer(tenant, payment_id=left.id)
    elif attempt.succeeded_minor and not applied.surplus:
        # What was paid before may be owed again: a refund or a lost dispute.
        await work.announce(tenant, "dunning")
    if applied.remainder:
        log.info("invoice.remainder", billing_cycle_id=str(applied.cycle_id), amount_minor=applied.remainder)
    if applied.surplus:
        log.warning("payment.surplus", payment_id=str(attempt.id), amount_minor=applied.surplus)
        # Each event asks for it. One after the other: Paystack knows no keys, and two at once would both give back.
        await refund_surplus.configure(lock=f"refund:{attempt.id}").defer(tenant, payment_id=attempt.id)


def _told(state: PaymentState, dispute: Told | None) -> Told:
    told = Told(state.status, state.refunded_minor, state.provider_payment_id)
    if dispute is None:
        return told
    return replace(told, charged_back_minor=dispute.charged_back_minor, is_disputed=dispute.is_disputed)


@job(queue="billing")
async def look_at(resources: Resources, organization_id: OrganizationId, payment_id: PaymentId) -> None:
    """Ask the provider how one payment stands, and write it down."""
    async with resources.database.tenant(organization_id, WORKER, read_only=True) as tenant:
        attempt = await payments.get(tenant, payment_id)
    if attempt is not None and attempt.reference is not None:
        await ask(resources, organization_id, attempt)


async def ask(resources: Resources, organization_id: OrganizationId, attempt: Attempt) -> PaymentState:
    """Fetch a payment's state and settle it. Raises ProviderError."""
    state = await provider_of(resources, attempt.provider).fetch(attempt.reference or str(attempt.id))
    async with resources.database.tenant(organization_id, WORKER) as tenant:
        await settle(resources, tenant, attempt.id, state)
    return state


@job(queue="billing")
async def refund_surplus(resources: Resources, organization_id: OrganizationId, payment_id: PaymentId) -> None:
    """Give back what came although the invoice was covered; the payment names the refund: a repeat gives back once."""
    async with resources.database.tenant(organization_id, WORKER, read_only=True) as tenant:
        attempt = await payments.get(tenant, payment_id)
        surplus = await payments.surplus(tenant, payment_id)
    if attempt is None or attempt.reference is None or not surplus:
        return
    provider = provider_of(resources, attempt.provider)
    state = await provider.fetch(attempt.reference)
    try:
        refund = await provider.refund(state, surplus, f"surplus-{attempt.id}")
    except ProviderRefused as refusal:
        # Asked only when more went back than we know: it defers this job for what is left, which must become less.
        if (await provider.fetch(attempt.reference)).refunded_minor <= attempt.refunded_minor:
            raise GiveUp(f"the refund of {attempt.id} is refused: {refusal.code}") from refusal
        await ask(resources, organization_id, attempt)
        return
    log.info("payment.refunded", payment_id=str(attempt.id), amount_minor=refund.amount_minor, status=refund.status)
    await ask(resources, organization_id, attempt)
    async with resources.database.tenant(organization_id, WORKER) as tenant:
        organization = await organizations.get(tenant)
        await email.enqueue(tenant, "payment_refunded", subject_id=attempt.id, recipient=organization.email)


@job(queue="billing")
async def retire(resources: Resources, organization_id: OrganizationId, payment_id: PaymentId) -> None:
    """Close the page of another attempt for an invoice that has been paid meanwhile."""
    async with resources.database.tenant(organization_id, WORKER, read_only=True) as tenant:
        attempt = await payments.get(tenant, payment_id)
    if attempt is None or attempt.status != "open":
        return
    if attempt.reference is not None:
        try:
            await provider_of(resources, attempt.provider).expire(attempt.reference)
        except ProviderRefused:
            await ask(resources, organization_id, attempt)
            return
    async with resources.database.tenant(organization_id, WORKER) as tenant:
        await payments.end(tenant, payment_id, "expired", resources.clock.now())


def provider_of(resources: Resources, name: str) -> PaymentProvider:
    """The provider's client. Raises GiveUp when it is not configured any more: the job stays visible."""
    provider = resources.payments.get(name)
    if provider is None:
        raise GiveUp(f"{name} is not configured")
    return provider


def _alarm(tenant: Tenant, payment_id: UUID, outcome: str) -> str:
    fields: dict[str, Any] = {"organization_id": str(tenant.organization_id), "payment_id": str(payment_id)}
    log.error("payment.mismatch", outcome=outcome, **fields)
    return outcome
