"""Attempts to pay an invoice, and what came of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from db import work
from db.pool import Tenant
from db.statements import load
from db.types import CycleId, Money, PaymentId, new_id

queries = load("payments")

ProviderName = Literal["stripe", "paystack"]
Ending = Literal["failed", "expired"]
AttemptStatus = Literal["open", "succeeded", "failed", "expired", "refunded"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """Amounts in minor units of `currency`, but `invoice_minor`: what it covers in the invoice's currency."""

    id: PaymentId
    billing_cycle_id: CycleId
    provider: ProviderName
    reference: str | None
    url: str | None
    customer_email: str
    amount_minor: int
    currency: str
    invoice_minor: int
    status: AttemptStatus
    failure: str | None
    succeeded_minor: int
    refunded_minor: int
    charged_back_minor: int
    surplus_minor: int
    expires_at: datetime
    created_at: datetime
    settled_at: datetime | None

    @property
    def amount(self) -> Money:
        """What the provider is asked to charge."""
        return Money(self.amount_minor, self.currency)


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """What an attempt is begun with."""

    billing_cycle_id: CycleId
    provider: ProviderName
    customer_email: str
    amount: Money
    invoice_minor: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """What a provider says about a payment now; amounts in minor units."""

    status: str
    refunded_minor: int
    provider_payment_id: str | None
    charged_back_minor: int = 0
    is_disputed: bool | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What it did: the invoice, whether it is paid by this, and minor units of the payment to be given back.

    `remainder`: minor units of the invoice that are too small to be paid, and that the next invoice will ask for.
    """

    cycle_id: CycleId
    is_newly_paid: bool
    surplus: int
    remainder: int


async def live(tenant: Tenant, cycle_id: CycleId) -> Attempt | None:
    """The live attempt of an invoice: there is at most one, whatever the provider."""
    row = await queries.live(tenant.conn, organization_id=tenant.organization_id, billing_cycle_id=cycle_id)
    return Attempt(**row) if row else None


async def get(tenant: Tenant, payment_id: PaymentId) -> Attempt | None:
    """One attempt, or None."""
    row = await queries.get(tenant.conn, organization_id=tenant.organization_id, id=payment_id)
    return Attempt(**row) if row else None


async def of_invoice(tenant: Tenant, cycle_id: CycleId) -> list[Attempt]:
    """Every attempt to pay an invoice, oldest first."""
    rows = queries.of_invoice(tenant.conn, organization_id=tenant.organization_id, billing_cycle_id=cycle_id)
    return [Attempt(**row) async for row in rows]


async def begin(tenant: Tenant, new: NewAttempt, now: datetime) -> Attempt | None:
    """Write an attempt before its provider hears of it; None when a live one appeared or the invoice is not owed."""
    row = await queries.begin(
        tenant.conn, organization_id=tenant.organization_id, id=new_id(), billing_cycle_id=new.billing_cycle_id,
        provider=new.provider, customer_email=new.customer_email, amount_minor=new.amount.minor,
        currency=new.amount.currency, invoice_minor=new.invoice_minor, expires_at=new.expires_at, now=now,
    )  # fmt: skip
    if row is None:
        return None
    await work.announce(tenant, "payments")
    return Attempt(**row)


async def store_checkout(
    tenant: Tenant, attempt: Attempt, reference: str, url: str, expires_at: datetime, now: datetime
) -> bool | None:
    """Keep what the provider answered, so that its events are matched from now on.

    True: the page may be shown. False: the attempt has ended or its invoice is not owed. None: a twin was faster.
    """
    row = await queries.store_checkout(
        tenant.conn, organization_id=tenant.organization_id, id=attempt.id, reference=reference, url=url,
        expires_at=expires_at, now=now,
    )  # fmt: skip
    if row is None:
        return None
    await queries.register(tenant.conn, provider=attempt.provider, reference=reference, id=attempt.id)
    return bool(row["is_shown"])


async def end(
    tenant: Tenant,
    payment_id: PaymentId,
    status: Literal["failed", "expired"],
    now: datetime,
    failure: str | None = None,
) -> None:
    """End a live attempt without money; any other stays as it is."""
    await queries.end_attempt(
        tenant.conn, organization_id=tenant.organization_id, id=payment_id, status=status, failure=failure, now=now
    )


async def apply(tenant: Tenant, payment_id: PaymentId, told: Told, now: datetime) -> Applied:
    """Write what a provider says and settle the invoice; forward only, harmless to repeat. For the worker's role."""
    row = await queries.apply(
        tenant.conn, organization_id=tenant.organization_id, id=payment_id, status=told.status,
        refunded_minor=told.refunded_minor, charged_back_minor=told.charged_back_minor, is_disputed=told.is_disputed,
        provider_payment_id=told.provider_payment_id, now=now,
    )  # fmt: skip
    return Applied(**row)


async def surplus(tenant: Tenant, payment_id: PaymentId) -> int:
    """Minor units of a payment that came although its invoice was covered, and were not given back yet."""
    found = await queries.surplus(tenant.conn, organization_id=tenant.organization_id, id=payment_id)
    return max(0, found or 0)


async def unheard(tenant: Tenant, before: datetime) -> list[Attempt]:
    """Live attempts whose provider was last asked before a time."""
    rows = queries.unheard(tenant.conn, organization_id=tenant.organization_id, before=before)
    return [Attempt(**row) async for row in rows]


async def has_live(tenant: Tenant) -> bool:
    """Whether the organization has a live attempt."""
    found: bool = await queries.has_live(tenant.conn, organization_id=tenant.organization_id)
    return found
