"""Stripe Checkout through the official SDK: asynchronous, API version pinned, one idempotency key for each attempt."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

import stripe
from stripe.checkout import Session

from jobs.providers.errors import ProviderRefused, ProviderUnavailable
from jobs.providers.http import TOTAL_SECONDS, retry_after
from jobs.providers.payments import (
    Checkout,
    CheckoutRequest,
    PaymentState,
    PaymentStatus,
    ProviderEvent,
    RefundState,
    RefundStatus,
)
from jobs.providers.stripe_events import parse_event

API_VERSION = "2026-10-28.endive"
"""The version our code was written for; Stripe keeps answering in its shape whatever the account's default is."""

CURRENCIES = frozenset(
    {"AUD", "CAD", "CHF", "DKK", "EUR", "GBP", "HKD", "NOK", "NZD", "PLN", "SEK", "SGD", "USD", "ZAR"}
)
"""Those with two decimals that our prices may use; Stripe itself knows many more."""

MINIMUMS = {"DKK": 250, "GBP": 30, "HKD": 400, "NOK": 300, "PLN": 200, "SEK": 300, "ZAR": 1000}
"""Smallest charges in minor units where they are not 50 (docs.stripe.com/currencies, minimum charge amounts)."""

WITH_CHARGE = "payment_intent.latest_charge"
REFUND_STATES: dict[str | None, RefundStatus] = {"succeeded": "succeeded", "failed": "failed", "canceled": "failed"}

T = TypeVar("T")


class StripePayments:
    """A PaymentProvider; without `webhook_secret` it takes payments but no events."""

    name = "stripe"
    currencies = CURRENCIES

    def __init__(
        self, secret_key: str, webhook_secret: str | None, api_base: str, *, timeout: float = 4.0, retries: int = 1
    ) -> None:
        self.livemode = "_live_" in secret_key
        self.accepts_webhooks = webhook_secret is not None
        self._webhook_secret = webhook_secret
        self._http = stripe.HTTPXClient(timeout=timeout)
        self._client = stripe.StripeClient(
            secret_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base.rstrip("/")},
            max_network_retries=retries,
            http_client=self._http,
        )
        self._sessions = self._client.v1.checkout.sessions

    def minimum_minor(self, currency: str) -> int:
        """Minor units below which Stripe refuses with `amount_too_small`."""
        return MINIMUMS.get(currency, 50)

    async def create_checkout(self, request: CheckoutRequest) -> Checkout:
        """Open a Checkout Session; the attempt's id is the idempotency key, kept over retries and over days."""
        metadata = request.metadata()
        session = await _answered(
            self._sessions.create_async(
                {
                    "mode": "payment",
                    "line_items": [
                        {
                            "quantity": 1,
                            "price_data": {
                                "currency": request.amount.currency.lower(),
                                "unit_amount": request.amount.minor,
                                "product_data": {"name": f"Invoice {request.invoice_number}"},
                            },
                        }
                    ],
                    "client_reference_id": str(request.attempt_id),
                    "customer_email": request.customer_email,
                    "success_url": request.success_url,
                    "cancel_url": request.cancel_url,
                    "expires_at": int(request.expires_at.timestamp()),
                    "metadata": metadata,
                    # Refunds and disputes carry the PaymentIntent, so it must name the attempt too.
                    "payment_intent_data": {"metadata": metadata},
                },
                {"idempotency_key": str(request.attempt_id)},
            )
        )
        if session.url is None:
            raise ProviderRefused("session_closed", f"session {session.id} is {session.status}")
        return Checkout(session.id, session.url, datetime.fromtimestamp(session.expires_at, UTC))

    async def fetch(self, reference: str) -> PaymentState:
        """The state of a session (`cs_…`), or of the session that a PaymentIntent (`pi_…`) belongs to."""
        if not reference.startswith("pi_"):
            return _state(await _answered(self._sessions.retrieve_async(reference, {"expand": [WITH_CHARGE]})))
        found = await _answered(
            self._sessions.list_async({"payment_intent": reference, "limit": 1, "expand": [f"data.{WITH_CHARGE}"]})
        )
        if not found.data:
            raise ProviderRefused("resource_missing", f"no session has the payment {reference}")
        return _state(found.data[0])

    async def expire(self, reference: str) -> None:
        """Close the session; already expired is fine, already paid is refused with `already_paid`."""
        try:
            await _answered(self._sessions.expire_async(reference))
        except ProviderRefused:
            state = await self.fetch(reference)
            if state.status == "expired":
                return
            if state.status in ("succeeded", "refunded"):
                raise ProviderRefused("already_paid", f"{reference} has been paid") from None
            raise

    async def refund(self, payment: PaymentState, amount_minor: int, idempotency_key: str) -> RefundState:
        """Refund by PaymentIntent; Stripe itself keeps the key for at least a day."""
        if payment.provider_payment_id is None:
            raise ProviderRefused("nothing_paid", f"{payment.reference} has no payment to refund")
        refund = await _answered(
            self._client.v1.refunds.create_async(
                {
                    "payment_intent": payment.provider_payment_id,
                    "amount": amount_minor,
                    "metadata": {**payment.metadata, "refund_key": idempotency_key},
                },
                {"idempotency_key": idempotency_key},
            )
        )
        status = REFUND_STATES.get(refund.status, "pending")
        return RefundState(refund.id, status, refund.amount, refund.currency.upper())

    async def list_payments(self, since: datetime) -> AsyncIterator[PaymentState]:
        """Every session created since then, newest first, page by page."""
        created = int(since.timestamp())
        pages = await _answered(
            self._sessions.list_async({"created": {"gte": created}, "limit": 100, "expand": [f"data.{WITH_CHARGE}"]})
        )
        while True:
            for session in pages.data:
                yield _state(session)
            if not pages.has_more:
                return
            pages = await _answered(pages.next_page_async())

    def parse_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime) -> ProviderEvent:
        """The verified event; several `v1` signatures are tried, the timestamp may be 300 s off."""
        return parse_event(body, headers, self._webhook_secret, now)

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.close_async()  # type: ignore[no-untyped-call]


async def _answered(call: Awaitable[T]) -> T:
    """Await one SDK call within the time limit and translate its errors."""
    try:
        async with asyncio.timeout(TOTAL_SECONDS):
            return await call
    except TimeoutError:
        raise ProviderUnavailable("the time for the whole call ran out", uncertain=True) from None
    except stripe.RateLimitError as error:
        raise ProviderUnavailable("too many requests", retry_after=retry_after(error.headers or {}) or 1.0) from error
    except (stripe.APIConnectionError, stripe.APIError) as error:
        wait = retry_after(error.headers or {})
        raise ProviderUnavailable(error.user_message or "no answer", retry_after=wait, uncertain=True) from error
    except stripe.StripeError as error:
        raise ProviderRefused(_code(error), error.user_message or "") from error


def _code(error: stripe.StripeError) -> str:
    if isinstance(error, stripe.IdempotencyError):
        return "idempotency_key_reused"
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return "authentication"
    return error.code or "invalid_request"


def _state(session: Session) -> PaymentState:
    intent = session.payment_intent if isinstance(session.payment_intent, stripe.PaymentIntent) else None
    charge = intent.latest_charge if intent and isinstance(intent.latest_charge, stripe.Charge) else None
    refunded = charge.amount_refunded if charge else 0
    amount = session.amount_total or 0
    return PaymentState(
        reference=session.id,
        status="refunded" if charge and 0 < amount <= refunded else _status(session, intent),
        amount_minor=amount,
        currency=(session.currency or "").upper(),
        livemode=session.livemode,
        metadata=session.metadata.to_dict() if session.metadata else {},
        provider_payment_id=intent.id if intent else None,
        refunded_minor=refunded,
    )


def _status(session: Session, intent: stripe.PaymentIntent | None) -> PaymentStatus:
    """`complete` is not `paid`: a bank debit completes the session days before the money comes, or never."""
    if session.status == "expired":
        return "expired"
    if session.status == "open":
        return "pending"
    if session.payment_status in ("paid", "no_payment_required"):
        return "succeeded"
    return "failed" if intent and intent.status in ("requires_payment_method", "canceled") else "pending"
