"""Paystack's transactions over httpx: initialize, verify by reference, refund, list."""

import secrets
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from jobs.providers.errors import ProviderRefused
from jobs.providers.http import Answer, HttpApi
from jobs.providers.payments import (
    Checkout,
    CheckoutRequest,
    PaymentState,
    PaymentStatus,
    ProviderEvent,
    RefundState,
    RefundStatus,
)
from jobs.providers.paystack_events import mapping, parse_event

CURRENCIES = frozenset({"GHS", "KES", "NGN", "USD", "ZAR"})
MINIMUMS = {"GHS": 10, "KES": 300, "NGN": 5000, "USD": 200, "ZAR": 100}
"""Smallest charges in minor units (paystack.com/docs/api, supported currency)."""

# A transaction nobody has finished yet reads `abandoned` from its first second; it can still be paid.
STATES: dict[str, PaymentStatus] = {"success": "succeeded", "failed": "failed", "reversed": "refunded"}
REFUND_STATES: dict[str, RefundStatus] = {"processed": "succeeded", "failed": "failed"}
PAGE = 100


class PaystackPayments:
    """A PaymentProvider. Paystack has no idempotency keys and no way to close a checkout; see each method."""

    name = "paystack"
    currencies = CURRENCIES
    accepts_webhooks = True

    def __init__(self, secret_key: str, api_base: str, *, timeout: float = 4.0, retries: int = 2) -> None:
        self.livemode = "_live_" in secret_key
        self._secret_key = secret_key
        self._api = HttpApi(
            api_base, headers={"authorization": f"Bearer {secret_key}"}, timeout=timeout, retries=retries
        )

    def minimum_minor(self, currency: str) -> int:
        """Minor units below which Paystack refuses the amount."""
        return MINIMUMS[currency]

    async def create_checkout(self, request: CheckoutRequest) -> Checkout:
        """Initialize a transaction whose reference is the attempt's id.

        When an earlier call got through but its answer was lost, the reference is taken and its page was never
        shown to anyone: a fresh suffix opens a page that can be shown.
        """
        try:
            return await self._initialize(request, str(request.attempt_id))
        except ProviderRefused as refusal:
            if refusal.code != "duplicate_reference":
                raise
            return await self._initialize(request, f"{request.attempt_id}.{secrets.token_hex(4)}")

    async def _initialize(self, request: CheckoutRequest, reference: str) -> Checkout:
        body = {
            "reference": reference,
            "amount": request.amount.minor,
            "currency": request.amount.currency,
            "email": request.customer_email,
            "callback_url": request.success_url,
            "metadata": {**request.metadata(), "cancel_action": request.cancel_url},
        }
        opened = _accepted(await self._api.post("/transaction/initialize", json=body))
        return Checkout(opened["reference"], opened["authorization_url"], request.expires_at)

    async def fetch(self, reference: str) -> PaymentState:
        """Verify by reference, with what has been refunded of it."""
        payment = _accepted(await self._api.get(f"/transaction/verify/{quote(reference, safe='')}"))
        paid = payment["status"] in ("success", "reversed")
        refunds = [refund async for refund in self._refunds({"transaction": payment["id"]})] if paid else []
        return _state(payment, _given_back(refunds, payment["id"]))

    async def expire(self, reference: str) -> None:
        """Refuse when it is paid. Paystack cannot close a page: money that comes later is recorded and refunded."""
        if (await self.fetch(reference)).status in ("succeeded", "refunded"):
            raise ProviderRefused("already_paid", f"{reference} has been paid")

    async def refund(self, payment: PaymentState, amount_minor: int, idempotency_key: str) -> RefundState:
        """Refund once for each key, which travels as the merchant's note and is looked for before asking again."""
        if payment.provider_payment_id is None or payment.status == "pending":
            raise ProviderRefused("nothing_paid", f"{payment.reference} has no payment to refund")
        async for refund in self._refunds({"transaction": payment.provider_payment_id}):
            if refund.get("merchant_note") == idempotency_key:
                return _refund_state(refund)
        body = {
            "transaction": payment.reference,
            "amount": amount_minor,
            "currency": payment.currency,
            "merchant_note": idempotency_key,
        }
        return _refund_state(_accepted(await self._api.post("/refund", json=body)))

    async def list_payments(self, since: datetime) -> AsyncIterator[PaymentState]:
        """Every transaction created since then, page by page; a refund is never older than its payment."""
        window = {"from": _iso(since)}
        refunds = [refund async for refund in self._refunds(window)]
        async for payment in self._pages("/transaction", window):
            yield _state(payment, _given_back(refunds, payment["id"]))

    def _refunds(self, query: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        return self._pages("/refund", query)

    async def _pages(self, path: str, query: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        page = 1
        while True:
            rows = _accepted(await self._api.get(path, params={**query, "perPage": PAGE, "page": page}))
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            page += 1

    def parse_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime) -> ProviderEvent:
        """The verified event; Paystack signs no time, so its id must be remembered for ever."""
        return parse_event(body, headers, self._secret_key, now)

    async def close(self) -> None:
        """Give the connections back."""
        await self._api.close()


def _accepted(answer: Answer) -> Any:
    """The `data` of an answer. Raises ProviderRefused for `status: false`."""
    body = mapping(answer.body)
    if answer.status < 400 and body.get("status") is True:
        return body["data"]
    message = str(body.get("message", ""))
    code = "authentication" if answer.status == 401 else str(body.get("code") or "invalid_request")
    raise ProviderRefused("duplicate_reference" if "duplicate" in message.lower() else code, message)


def _state(payment: dict[str, Any], refunded: int) -> PaymentState:
    status = STATES.get(payment["status"], "pending")
    whole = status in ("succeeded", "refunded") and refunded >= payment["amount"]
    return PaymentState(
        reference=payment["reference"],
        status="refunded" if whole else status,
        amount_minor=payment["amount"],
        currency=payment["currency"],
        livemode=payment["domain"] == "live",
        metadata={key: str(value) for key, value in mapping(payment.get("metadata")).items()},
        provider_payment_id=str(payment["id"]),
        refunded_minor=payment["amount"] if status == "refunded" else refunded,
    )


def _given_back(refunds: list[dict[str, Any]], payment_id: int) -> int:
    """Minor units of one payment that have been or are being refunded."""
    return sum(r["amount"] for r in refunds if _payment_of(r) == payment_id and r["status"] != "failed")


def _payment_of(refund: dict[str, Any]) -> int:
    """A new refund carries its transaction, a listed one the transaction's id."""
    owner = refund["transaction"]
    return int(owner["id"] if isinstance(owner, dict) else owner)


def _refund_state(refund: dict[str, Any]) -> RefundState:
    status = REFUND_STATES.get(refund["status"], "pending")
    return RefundState(str(refund["id"]), status, refund["amount"], refund["currency"])


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
