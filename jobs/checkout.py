"""Opens the page on which an invoice is paid: one live attempt, whatever the provider and however many clicks.

The attempt is committed before its provider hears of it, and its id is the idempotency key: whoever comes after a
crash, an outage or a second click goes on with the same attempt. The page is shown only after what leads back from
the provider's events has been stored.
"""

import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal

import structlog

from db import invoices, payments
from db.errors import Conflict, Invalid, Unavailable
from db.invoices import Cycle
from db.payments import Attempt, NewAttempt, ProviderName
from db.pool import Tenant
from db.types import CycleId, Money, OrganizationId
from jobs import settlement
from jobs.accounts import link
from jobs.providers.errors import ProviderError, ProviderRefused, ProviderUnavailable
from jobs.providers.payments import Checkout, CheckoutRequest, PaymentProvider, checkout_expiry
from jobs.resources import Resources

Transaction = Callable[[], AbstractAsyncContextManager[Tenant]]
OPEN_FOR = timedelta(hours=23)
TRIES = 4
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the payment of an invoice stands: its live attempt, and whether that is one to go on with."""

    organization_id: OrganizationId
    cycle: Cycle
    attempt: Attempt
    is_wanted: bool


async def open_checkout(
    resources: Resources, transaction: Transaction, cycle_id: CycleId, provider_name: ProviderName
) -> Attempt:
    """The live attempt with the page to pay on.

    `transaction` opens one in the payer's name. Raises Invalid when the provider is not offered or cannot take the
    amount, NotFound, Conflict when nothing is owed or a payment is under way, Unavailable when the provider is away.
    """
    provider = _offered(resources, provider_name)
    for _ in range(TRIES):
        async with transaction() as tenant:
            standing = await _stand(resources, tenant, provider, cycle_id)
        if standing is None:
            continue
        if not standing.is_wanted:
            await _retire(resources, transaction, standing.attempt)
        elif standing.attempt.url is not None:
            return standing.attempt
        else:
            await _ask(resources, transaction, provider, standing)
    raise Conflict("CONFLICT", "A payment of this invoice is being started elsewhere; try again")


def _offered(resources: Resources, name: ProviderName) -> PaymentProvider:
    provider = resources.payments.get(name)
    if provider is None:
        raise Invalid.field("provider", "Is not offered here")
    return provider


async def _stand(resources: Resources, tenant: Tenant, provider: PaymentProvider, cycle_id: CycleId) -> Standing | None:
    """The live attempt, begun now when there is none; None when a twin began one at the same moment."""
    cycle = await invoices.get_issued(tenant, cycle_id)
    if cycle.status not in ("pending", "overdue"):
        raise Conflict("CONFLICT", "Nothing is owed on this invoice", {"status": cycle.status})
    now = resources.clock.now()
    attempt = await payments.live(tenant, cycle_id)
    if attempt is not None:
        is_wanted = (
            attempt.provider == provider.name
            and attempt.invoice_minor == cycle.outstanding.minor
            and attempt.expires_at > now
        )
        return Standing(tenant.organization_id, cycle, attempt, is_wanted)
    amount = _charged(resources, provider, cycle.outstanding)
    new = NewAttempt(
        cycle.id, _name(provider), cycle.organization_email, amount, cycle.outstanding.minor,
        checkout_expiry(now, OPEN_FOR),
    )  # fmt: skip
    begun = await payments.begin(tenant, new, now)
    return Standing(tenant.organization_id, cycle, begun, is_wanted=True) if begun else None


def _charged(resources: Resources, provider: PaymentProvider, owed: Money) -> Money:
    """What the provider is asked for: the amount owed, or its quote in the currency that the settings name."""
    amount = owed
    if provider.name == "paystack" and resources.settings.paystack_quote:
        currency, _, rate = resources.settings.paystack_quote.partition("=")
        minor = (Decimal(owed.minor) * Decimal(rate)).quantize(Decimal(1), ROUND_CEILING)
        amount = Money(int(minor), currency)
    if amount.currency not in provider.currencies:
        raise Invalid.field("provider", f"Does not take {amount.currency}")
    if amount.minor < provider.minimum_minor(amount.currency):
        least = Money(provider.minimum_minor(amount.currency), amount.currency)
        raise Invalid.field("provider", f"Takes no less than {least}")
    return amount


async def _ask(resources: Resources, transaction: Transaction, provider: PaymentProvider, standing: Standing) -> None:
    """Ask the provider for a page, outside any transaction, and keep it; whether it may be shown is read anew."""
    attempt = standing.attempt
    try:
        checkout = await provider.create_checkout(_request(resources, standing))
    except ProviderUnavailable as error:
        log.warning("checkout.provider_away", provider=provider.name, reason=str(error))
        raise away(error) from error
    except ProviderRefused as refusal:
        await _give_up(resources, transaction, attempt, refusal)
        return
    await _keep(resources, transaction, provider, attempt, checkout)


def _request(resources: Resources, standing: Standing) -> CheckoutRequest:
    """Made of stored values alone: a repeat must be identical."""
    cycle, attempt = standing.cycle, standing.attempt
    return CheckoutRequest(
        attempt_id=attempt.id,
        organization_id=standing.organization_id,
        billing_cycle_id=cycle.id,
        invoice_number=cycle.number_text,
        amount=attempt.amount,
        customer_email=attempt.customer_email,
        # The page shows how the payment stands; coming back marks nothing as paid.
        success_url=link(resources, f"/invoices/{cycle.id}?payment=done"),
        cancel_url=link(resources, f"/invoices/{cycle.id}?payment=cancelled"),
        expires_at=attempt.expires_at,
    )


async def _keep(
    resources: Resources, transaction: Transaction, provider: PaymentProvider, attempt: Attempt, checkout: Checkout
) -> None:
    async with transaction() as tenant:
        is_shown = await payments.store_checkout(
            tenant, attempt, checkout.provider_reference, checkout.url, checkout.expires_at, resources.clock.now()
        )
    if is_shown is False:
        # The attempt ended while its provider was asked: nobody has seen the page, and nobody shall pay on it.
        try:
            await provider.expire(checkout.provider_reference)
        except ProviderError as error:
            log.warning("checkout.not_expired", provider=provider.name, reason=str(error))


async def _give_up(resources: Resources, transaction: Transaction, attempt: Attempt, refusal: ProviderRefused) -> None:
    """A refused attempt has failed. An earlier click's is replaced by a new one; repeating a new one is no use."""
    now = resources.clock.now()
    log.error("checkout.refused", provider=attempt.provider, payment_id=str(attempt.id), code=refusal.code)
    async with transaction() as tenant:
        await payments.end(tenant, attempt.id, "failed", now, refusal.code)
    if now - attempt.created_at < timedelta(seconds=20):
        raise Unavailable("The payment provider does not accept this payment; try another one", retry_after=60)


async def _retire(resources: Resources, transaction: Transaction, attempt: Attempt) -> None:
    """End an attempt that is no longer wanted, at its provider first: two open ways to pay are a double charge."""
    if attempt.reference is not None:
        provider = _offered(resources, attempt.provider)
        try:
            await provider.expire(attempt.reference)
        except ProviderUnavailable as error:
            raise away(error) from error
        except ProviderRefused as refusal:
            await _refused_to_expire(resources, transaction, attempt, refusal)
    async with transaction() as tenant:
        await payments.end(tenant, attempt.id, "expired", resources.clock.now())


async def _refused_to_expire(
    resources: Resources, transaction: Transaction, attempt: Attempt, refusal: ProviderRefused
) -> None:
    """The money has come or is on its way: say so, and let a worker write it down at once."""
    if refusal.code == "resource_missing":
        return
    async with transaction() as tenant:
        await settlement.look_at.defer(tenant, payment_id=attempt.id)
    raise Conflict("CONFLICT", "A payment of this invoice is under way; look again in a moment")


def away(error: ProviderUnavailable) -> Unavailable:
    """The 503 for a provider that does not answer, with its own hint when it gave one."""
    wait = math.ceil(error.retry_after or 5)
    return Unavailable("The payment provider does not answer; nothing was charged, try again", retry_after=wait)


def _name(provider: PaymentProvider) -> ProviderName:
    return "stripe" if provider.name == "stripe" else "paystack"
