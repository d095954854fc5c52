"""The shapes of credit notes in answers, and of who sold."""

from typing import Self
from uuid import UUID

from api.fields import Amount, Answer, Pagination, Timestamp, amount
from db.credit_notes import CreditNote, CreditTotals
from db.invoices import Cycle

CURRENCY = "USD"


class Seller(Answer):
    """Who sold, as it was when the document was issued; null on documents from before it was kept."""

    name: str | None
    address: str | None
    tax_number: str | None

    @classmethod
    def made(cls, document: Cycle | CreditNote) -> Self:
        """The seller of an invoice or of a credit note."""
        return cls(name=document.seller_name, address=document.seller_address, tax_number=document.seller_tax_number)


class CreditNoteAnswer(Answer):
    """A correction of an invoice: `settled` was still owed for it, `balance` was paid and comes off the next ones."""

    id: UUID
    number: str
    invoice_id: UUID
    invoice_number: str
    reason: str
    amount: Amount
    amount_minor: int
    settled: Amount
    settled_minor: int
    balance: Amount
    balance_minor: int
    currency: str
    organization_name: str
    organization_email: str
    seller: Seller
    created_at: Timestamp

    @classmethod
    def made(cls, note: CreditNote) -> Self:
        """The answer for a domain result."""
        return cls.of(
            note, number=note.number_text, invoice_id=note.billing_cycle_id, invoice_number=note.invoice_text,
            amount=amount(note.amount_minor), settled=amount(note.settled_minor), balance=amount(note.balance_minor),
            seller=Seller.made(note), created_at=note.issued_at,
        )  # fmt: skip


class CreditSummary(Answer):
    """What all credit notes sum to, and what the next invoices will take off."""

    total_credited: Amount
    balance: Amount
    balance_minor: int
    currency: str


class CreditNotes(Answer):
    """One page of credit notes."""

    credit_notes: list[CreditNoteAnswer]
    summary: CreditSummary
    pagination: Pagination

    @classmethod
    def made(cls, notes: list[CreditNote], totals: CreditTotals, pagination: Pagination) -> Self:
        """The answer for domain results."""
        summary = CreditSummary(
            total_credited=amount(totals.credited_minor), balance=amount(totals.balance_minor),
            balance_minor=totals.balance_minor, currency=CURRENCY,
        )  # fmt: skip
        return cls(credit_notes=[CreditNoteAnswer.made(note) for note in notes], summary=summary, pagination=pagination)
