"""The invoice on paper: the document's words on A4, as PDF."""

from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Spacer, Table, TableStyle

from db.credit_notes import CreditNote
from db.invoices import Cycle
from db.payments import Attempt
from jobs.invoices import Document, document
from jobs.paper import FLUSH, INK, LINE, RULED, WIDTH, letterhead, listed, paper, text

STATE_STYLES = {"paid": "paid", "overdue": "overdue"}


def pdf(cycle: Cycle, attempts: list[Attempt], notes: list[CreditNote]) -> bytes:
    """The invoice as a PDF; the same invoice gives the same bytes."""
    words = document(cycle, attempts, notes)
    parts = [*_head(words), *_lines(words), *_shares(words), *listed("Payments", words.payments)]
    return paper(f"Invoice {words.number}", words.seller, [*parts, *listed("Credit notes", words.credits)])


def _head(words: Document) -> list[Flowable]:
    facts = [
        [text(label, "soft") for label in ("Billed to", "Period", "Issued", "Due")],
        [text(fact, "bold") for fact in (words.organization, words.period, words.issued, words.due)],
        [text(words.email, "soft"), "", "", ""],
    ]
    return [
        *letterhead(words.seller, words.seller_lines, _state(words)),
        text(f"Invoice {words.number}", "title"),
        Spacer(0, 10 * mm),
        Table(
            facts,
            [WIDTH * 0.34, WIDTH * 0.2, WIDTH * 0.23, WIDTH * 0.23],
            style=TableStyle([*FLUSH, ("SPAN", (0, 2), (-1, 2)), ("TOPPADDING", (0, 1), (-1, -1), 0)]),
        ),
        Spacer(0, 10 * mm),
    ]


def _state(words: Document) -> Flowable:
    return text(words.state, STATE_STYLES.get(words.status, "state"))


def _lines(words: Document) -> list[Flowable]:
    head = [text("Description", "bold"), *(text(title, "right") for title in ("Quantity", "Unit price", "Amount"))]
    rows = [
        [text(row.description, "plain"), *(text(cell, "right") for cell in (row.quantity, row.unit, row.amount))]
        for row in words.rows
    ]
    sums = [[text(label, "plain"), "", "", text(amount, "right")] for label, amount in words.sums[:-1]]
    label, amount = words.sums[-1]
    due: list[Any] = [text(label, "due"), "", "", text(amount, "due_amount")]
    rules = [
        *FLUSH,
        ("LINEBELOW", (0, 0), (-1, 0), 1.2, INK),
        ("LINEBELOW", (0, 1), (-1, len(rows)), 0.5, LINE),
        ("LINEABOVE", (0, -1), (-1, -1), 1.2, INK),
        ("TOPPADDING", (0, -1), (-1, -1), 2 * mm),
    ]
    widths = [WIDTH * 0.46, WIDTH * 0.15, WIDTH * 0.2, WIDTH * 0.19]
    return [Table([head, *rows, *sums, due], widths, repeatRows=1, style=TableStyle(rules))]


def _shares(words: Document) -> list[Flowable]:
    parts: list[Flowable] = []
    head = [text("Made by", "soft"), text("All requests", "soft_right"), text("Share", "soft_right")]
    for part in words.shares:
        rows = [
            [text(label, "plain"), text(requests, "right"), text(amount, "right")]
            for label, requests, amount in part.rows
        ]
        table = Table([head, *rows], [WIDTH * 0.6, WIDTH * 0.2, WIDTH * 0.2], repeatRows=1, style=RULED)
        parts += [Spacer(0, 8 * mm), text(part.title, "bold"), Spacer(0, 1 * mm), table]
    return parts
