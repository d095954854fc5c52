"""A credit note for people: the document as a page and on paper, made from the same words."""

from dataclasses import dataclass

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Spacer, Table, TableStyle

from db.credit_notes import CreditNote
from db.types import Money
from jobs.invoices import printed, seller_lines
from jobs.paper import FLUSH, INK, WIDTH, letterhead, paper, text
from jobs.providers.mail_words import day, money
from jobs.providers.render import PRODUCT


@dataclass(frozen=True, slots=True)
class CreditDocument:
    """Everything a credit note prints, as text."""

    seller: str
    seller_lines: tuple[str, ...]
    number: str
    invoice: str
    organization: str
    email: str
    issued: str
    reason: str
    rows: tuple[tuple[str, str], ...]
    total: str


def document(note: CreditNote) -> CreditDocument:
    """The words of a credit note."""
    return CreditDocument(
        seller=note.seller_name or PRODUCT,
        seller_lines=seller_lines(note.seller_address, note.seller_tax_number),
        number=note.number_text,
        invoice=note.invoice_text,
        organization=note.organization_name,
        email=note.organization_email,
        issued=day(note.issued_at),
        reason=note.reason,
        rows=tuple(_rows(note)),
        total=money(note.amount),
    )


def html(note: CreditNote) -> str:
    """The credit note as a whole page that prints well."""
    return printed("credit_note.html", note=document(note))


def pdf(note: CreditNote) -> bytes:
    """The credit note as a PDF; the same note gives the same bytes."""
    words = document(note)
    return paper(f"Credit note {words.number}", words.seller, [*_head(words), _sums(words)])


def _rows(note: CreditNote) -> list[tuple[str, str]]:
    parts = [
        ("Not owed for the invoice any more", note.settled_minor),
        ("Paid already, and taken off the next invoices", note.balance_minor),
    ]
    return [(label, money(Money(minor, note.currency))) for label, minor in parts if minor]


def _head(words: CreditDocument) -> list[Flowable]:
    facts = [
        [text(label, "soft") for label in ("Credited to", "For invoice", "Issued")],
        [text(fact, "bold") for fact in (words.organization, words.invoice, words.issued)],
        [text(words.email, "soft"), "", ""],
    ]
    flush = TableStyle([*FLUSH, ("SPAN", (0, 2), (-1, 2)), ("TOPPADDING", (0, 1), (-1, -1), 0)])
    return [
        *letterhead(words.seller, words.seller_lines, text("Credit note", "state")),
        text(f"Credit note {words.number}", "title"),
        Spacer(0, 10 * mm),
        Table(facts, [WIDTH * 0.44, WIDTH * 0.3, WIDTH * 0.26], style=flush),
        Spacer(0, 10 * mm),
        text(words.reason, "plain"),
        Spacer(0, 6 * mm),
    ]


def _sums(words: CreditDocument) -> Flowable:
    rows = [[text(label, "plain"), text(amount, "right")] for label, amount in words.rows]
    total = [text("Credited", "due"), text(words.total, "due_amount")]
    ruled = TableStyle([*FLUSH, ("LINEABOVE", (0, -1), (-1, -1), 1.2, INK), ("TOPPADDING", (0, -1), (-1, -1), 2 * mm)])
    return Table([*rows, total], [WIDTH * 0.7, WIDTH * 0.3], style=ruled)
