"""The shapes of invoices in answers: the list of them, and one with everything on it."""

from typing import Literal, Self
from uuid import UUID

from api.billing_answers import LineAnswer
from api.credit_note_answers import CURRENCY, CreditNoteAnswer, Seller
from api.fields import Amount, Answer, Pagination, Timestamp, amount
from db.credit_notes import CreditNote
from db.invoices import Cycle, Line, Share, Totals
from db.payments import Attempt
from db.types import Plan


class ShareAnswer(Answer):
    """What one API key or one endpoint has in an overage, by its billable requests."""

    label: str
    api_key_id: UUID | None
    endpoint: str | None
    method: str | None
    requests: int
    amount: Amount
    amount_minor: int

    @classmethod
    def made(cls, share: Share) -> Self:
        """The answer for a domain result."""
        return cls.of(share, amount=amount(share.amount_minor))


class InvoiceLineAnswer(LineAnswer):
    """A line of an invoice; an overage is told apart by key and by endpoint, each summing to the line exactly."""

    by_api_key: list[ShareAnswer]
    by_endpoint: list[ShareAnswer]

    @classmethod
    def made(cls, line: Line) -> Self:
        """The answer for a domain result."""
        return cls.of(
            line, unit_price_minor=line.unit_minor, amount=amount(line.amount_minor),
            by_api_key=[ShareAnswer.made(share) for share in line.shares_of("api_key")],
            by_endpoint=[ShareAnswer.made(share) for share in line.shares_of("endpoint")],
        )  # fmt: skip


class InvoiceEntry(Answer):
    """An invoice in the list; `created_at` is when it was issued."""

    id: UUID
    number: str
    period: str
    period_start: Timestamp
    period_end: Timestamp
    plan: Plan
    total_requests: int
    total_amount: Amount
    amount_minor: int
    outstanding: Amount
    currency: str
    status: Literal["pending", "paid", "overdue", "void"]
    created_at: Timestamp
    due_date: Timestamp
    paid_at: Timestamp | None

    @classmethod
    def made(cls, cycle: Cycle, **more: object) -> Self:
        """The answer for an issued invoice."""
        return cls.of(
            cycle, number=cycle.number_text, period=f"{cycle.month:%Y-%m}", total_amount=cycle.total.decimal,
            amount_minor=cycle.total_amount_minor, outstanding=cycle.outstanding.decimal, created_at=cycle.issued_at,
            **more,
        )  # fmt: skip


class HistorySummary(Answer):
    """What all issued invoices sum to."""

    total_billed: Amount
    total_paid: Amount
    outstanding: Amount
    outstanding_minor: int
    currency: str


class History(Answer):
    """One page of invoices."""

    invoices: list[InvoiceEntry]
    summary: HistorySummary
    pagination: Pagination


class PaymentEntry(Answer):
    """An attempt to pay an invoice."""

    id: UUID
    provider: str
    status: str
    amount: Amount
    amount_minor: int
    currency: str
    refunded: Amount
    refunded_minor: int
    charged_back: Amount
    charged_back_minor: int
    created_at: Timestamp
    settled_at: Timestamp | None

    @classmethod
    def made(cls, attempt: Attempt) -> Self:
        """The answer for an attempt; amounts are in the currency that was charged."""
        return cls.of(
            attempt, amount=attempt.amount.decimal, refunded=amount(attempt.refunded_minor),
            charged_back=amount(attempt.charged_back_minor),
        )  # fmt: skip


class InvoiceDetails(InvoiceEntry):
    """An invoice with everything on it; `remainder` is too small to be paid and will be asked for by the next one."""

    organization_name: str
    organization_email: str
    seller: Seller
    paid: Amount
    credited: Amount
    remainder: Amount
    lines: list[InvoiceLineAnswer]
    payments: list[PaymentEntry]
    credit_notes: list[CreditNoteAnswer]

    @classmethod
    def made(cls, cycle: Cycle, attempts: list[Attempt], notes: list[CreditNote]) -> Self:  # type: ignore[override]
        """The answer for an issued invoice, its payments and its credit notes."""
        return super().made(
            cycle,
            seller=Seller.made(cycle),
            paid=amount(cycle.paid_minor),
            credited=amount(cycle.credited_minor),
            remainder=amount(cycle.remainder_minor),
            lines=[InvoiceLineAnswer.made(line) for line in cycle.lines],
            payments=[PaymentEntry.made(attempt) for attempt in attempts],
            credit_notes=[CreditNoteAnswer.made(note) for note in notes],
        )


def history(cycles: list[Cycle], totals: Totals, pagination: Pagination) -> History:
    """The answer of the list of invoices."""
    return History(
        invoices=[InvoiceEntry.made(cycle) for cycle in cycles],
        summary=HistorySummary(
            total_billed=amount(totals.billed_minor),
            total_paid=amount(totals.paid_minor),
            outstanding=amount(totals.outstanding_minor),
            outstanding_minor=totals.outstanding_minor,
            currency=CURRENCY,
        ),
        pagination=pagination,
    )
