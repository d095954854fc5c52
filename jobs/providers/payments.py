"""What the product asks of a payment provider: a hosted checkout, its state, refunds, and signed events."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol
from uuid import UUID

from db.types import Money

PaymentStatus = Literal["pending", "succeeded", "failed", "expired", "refunded"]
RefundStatus = Literal["pending", "succeeded", "failed"]
EventType = Literal[
    "payment_succeeded", "payment_failed", "payment_pending", "checkout_expired", "refund", "dispute", "unknown"
]

SHORTEST_CHECKOUT = timedelta(minutes=31)
LONGEST_CHECKOUT = timedelta(hours=23, minutes=59)


@dataclass(frozen=True)
class CheckoutRequest:
    """One attempt to pay one invoice; `attempt_id` is the idempotency key, so a repeat must be identical."""

    attempt_id: UUID
    organization_id: UUID
    billing_cycle_id: UUID
    invoice_number: str
    amount: Money
    customer_email: str
    success_url: str
    cancel_url: str
    expires_at: datetime

    def metadata(self) -> dict[str, str]:
        """What travels with the payment at the provider; it only has to agree with what we stored."""
        return {
            "attempt_id": str(self.attempt_id),
            "organization_id": str(self.organization_id),
            "billing_cycle_id": str(self.billing_cycle_id),
            "invoice_number": self.invoice_number,
        }


@dataclass(frozen=True)
class Checkout:
    """A page where the customer pays; `provider_reference` is how every later question names it."""

    provider_reference: str
    url: str
    expires_at: datetime


@dataclass(frozen=True)
class PaymentState:
    """The truth about one checkout as the provider tells it now; amounts in minor units, currency in capitals.

    `succeeded` stays `succeeded` while a part is refunded (`refunded_minor`); `refunded` means all of it.
    """

    reference: str
    status: PaymentStatus
    amount_minor: int
    currency: str
    livemode: bool
    metadata: Mapping[str, str]
    provider_payment_id: str | None
    refunded_minor: int = 0


@dataclass(frozen=True)
class RefundState:
    """One refund as the provider tells it now."""

    refund_id: str
    status: RefundStatus
    amount_minor: int
    currency: str


@dataclass(frozen=True)
class ProviderEvent:
    """A verified event; `reference` is what `fetch` takes, be it a checkout or (refunds, disputes) a payment."""

    provider: str
    event_id: str
    type: EventType
    raw_type: str
    reference: str | None
    livemode: bool
    occurred_at: datetime
    payload: dict[str, Any] = field(repr=False)


class PaymentProvider(Protocol):
    """A payment company. Every coroutine raises ProviderUnavailable (try later) or ProviderRefused (never will)."""

    @property
    def name(self) -> str:
        """`stripe` or `paystack`."""

    @property
    def livemode(self) -> bool:
        """Whether the key moves real money; an event of the other mode is not ours."""

    @property
    def accepts_webhooks(self) -> bool:
        """Whether a secret to verify events is set; without one the endpoint is 404."""

    @property
    def currencies(self) -> frozenset[str]:
        """ISO 4217 codes in capitals that this provider can be asked to charge."""

    def minimum_minor(self, currency: str) -> int:
        """The smallest amount that can be charged in this currency, in minor units."""

    async def create_checkout(self, request: CheckoutRequest) -> Checkout:
        """Open a hosted checkout; a repeat of the same attempt never opens a second one that can be paid."""

    async def fetch(self, reference: str) -> PaymentState:
        """The state of the checkout with this reference, or of the one that this payment id belongs to."""

    async def expire(self, reference: str) -> None:
        """Make sure that it cannot be paid any more, as far as the provider can.

        Raises ProviderRefused with the code `already_paid` when the money has come.
        """

    async def refund(self, payment: PaymentState, amount_minor: int, idempotency_key: str) -> RefundState:
        """Give back a part or all of a payment just fetched; the same key refunds once."""

    def list_payments(self, since: datetime) -> AsyncIterator[PaymentState]:
        """Every checkout created at or after `since`, in every state, for the reconciler."""

    def parse_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime) -> ProviderEvent:
        """The event in the raw `body` once its signature is proven. Raises SignatureError."""

    async def close(self) -> None:
        """Give the connections back."""


def checkout_expiry(now: datetime, wanted: timedelta) -> datetime:
    """The end of a checkout opened now, within what providers allow (30 minutes to 24 hours)."""
    return now + min(max(wanted, SHORTEST_CHECKOUT), LONGEST_CHECKOUT)


def header(headers: Mapping[str, str], name: str) -> str | None:
    """The value of a header whatever the case of its name; `name` is given in lower case."""
    return next((value for key, value in headers.items() if key.lower() == name), None)
