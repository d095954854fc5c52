"""The invoice on paper: the document's words on A4, as PDF."""

import io
import unicodedata
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from db.invoices import Cycle
from db.payments import Attempt
from jobs.invoices import Document, document

INK, SOFT, LINE = colors.HexColor("#16181d"), colors.HexColor("#687080"), colors.HexColor("#e4e6eb")
ACCENT, GOOD, BAD = colors.HexColor("#2456d3"), colors.HexColor("#1c7a4a"), colors.HexColor("#b3261e")
STATE_STYLES = {"paid": "paid", "overdue": "overdue"}
WIDTH = A4[0] - 40 * mm
MARGIN = 20 * mm - 6  # the frame pads by six points
MARK = 8 * mm
FLUSH: list[tuple[Any, ...]] = [
    ("LEFTPADDING", (0, 0), (0, -1), 0), ("RIGHTPADDING", (-1, 0), (-1, -1), 0), ("VALIGN", (0, 0), (-1, -1), "TOP"),
]  # fmt: skip
"""The outer columns end where the page's margins do."""


def pdf(cycle: Cycle, attempts: list[Attempt]) -> bytes:
    """The invoice as a PDF; the same invoice gives the same bytes."""
    words = document(cycle, attempts)
    paper = io.BytesIO()
    template = SimpleDocTemplate(
        paper, pagesize=A4, leftMargin=MARGIN, rightMargin=MARGIN, topMargin=20 * mm, bottomMargin=20 * mm,
        title=f"Invoice {words.number}", author=words.seller, invariant=1,
    )  # fmt: skip
    template.build(
        [*_head(words), *_lines(words), *_shares(words), *_payments(words)], onFirstPage=_foot, onLaterPages=_foot
    )
    return paper.getvalue()


def _head(words: Document) -> list[Flowable]:
    facts = [
        [_text(label, "soft") for label in ("Billed to", "Period", "Issued", "Due")],
        [_text(text, "bold") for text in (words.organization, words.period, words.issued, words.due)],
        [_text(words.email, "soft"), "", "", ""],
    ]
    brand = [_text(words.seller[0], "mark"), _text(words.seller, "brand"), _state(words)]
    mark = [("BACKGROUND", (0, 0), (0, 0), ACCENT)]
    return [
        Table([brand], [MARK, WIDTH * 0.7 - MARK, WIDTH * 0.3], [MARK], style=TableStyle([*FLUSH, *mark, *CENTRED])),
        Spacer(0, 6 * mm),
        _text(f"Invoice {words.number}", "title"),
        Spacer(0, 10 * mm),
        Table(
            facts,
            [WIDTH * 0.34, WIDTH * 0.2, WIDTH * 0.23, WIDTH * 0.23],
            style=TableStyle([*FLUSH, ("SPAN", (0, 2), (-1, 2)), ("TOPPADDING", (0, 1), (-1, -1), 0)]),
        ),
        Spacer(0, 10 * mm),
    ]


def _state(words: Document) -> Flowable:
    return _text(words.state, STATE_STYLES.get(words.status, "state"))


def _lines(words: Document) -> list[Flowable]:
    head = [_text("Description", "bold"), *(_text(title, "right") for title in ("Quantity", "Unit price", "Amount"))]
    rows = [
        [_text(row.description, "plain"), *(_text(cell, "right") for cell in (row.quantity, row.unit, row.amount))]
        for row in words.rows
    ]
    sums = [[_text(label, "plain"), "", "", _text(amount, "right")] for label, amount in words.sums[:-1]]
    label, amount = words.sums[-1]
    due: list[Any] = [_text(label, "due"), "", "", _text(amount, "due_amount")]
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
    head = [_text("Made by", "soft"), _text("All requests", "soft_right"), _text("Share", "soft_right")]
    for part in words.shares:
        rows = [
            [_text(label, "plain"), _text(requests, "right"), _text(amount, "right")]
            for label, requests, amount in part.rows
        ]
        table = Table([head, *rows], [WIDTH * 0.6, WIDTH * 0.2, WIDTH * 0.2], repeatRows=1, style=RULED)
        parts += [Spacer(0, 8 * mm), _text(part.title, "bold"), Spacer(0, 1 * mm), table]
    return parts


def _payments(words: Document) -> list[Flowable]:
    if not words.payments:
        return []
    rows = [[_text(text, "plain"), _text(amount, "right")] for text, amount in words.payments]
    return [
        Spacer(0, 8 * mm),
        _text("Payments", "bold"),
        Table(rows, [WIDTH * 0.75, WIDTH * 0.25], style=TableStyle(FLUSH)),
    ]


def _text(text: str, style: str) -> Paragraph:
    """A paragraph; what the embedded font cannot draw is drawn by its nearest letters, else by a question mark."""
    drawable = "".join(_drawable(character) for character in text)
    return Paragraph(escape(drawable), _STYLES[style])


def _drawable(character: str) -> str:
    if ord(character) in _PLAIN.face.charToGlyph:
        return character
    letters = "".join(c for c in unicodedata.normalize("NFKD", character) if ord(c) in _PLAIN.face.charToGlyph)
    return letters or {"₦": "NGN ", "₵": "S "}.get(character, "?")


def _foot(canvas: Any, template: Any) -> None:
    canvas.saveState()
    canvas.setFont("Vera", 8)
    canvas.setFillColor(SOFT)
    canvas.drawRightString(A4[0] - 20 * mm, 12 * mm, f"Page {canvas.getPageNumber()}")
    canvas.restoreState()


def _style(name: str, font: str = "Vera", size: int = 9, **more: Any) -> ParagraphStyle:
    return ParagraphStyle(
        name, fontName=font, fontSize=size, leading=size * 1.4, textColor=more.pop("color", INK), **more
    )


# The fonts come with reportlab and are embedded, so that the paper looks the same everywhere.
_PLAIN = TTFont("Vera", "Vera.ttf")
pdfmetrics.registerFont(_PLAIN)
pdfmetrics.registerFont(TTFont("Vera-Bold", "VeraBd.ttf"))
CENTRED: list[tuple[Any, ...]] = [
    ("VALIGN", (0, 0), (-1, -1), "MIDDLE"), ("LEFTPADDING", (0, 0), (0, -1), 0), ("RIGHTPADDING", (0, 0), (0, -1), 0),
]  # fmt: skip
RULED = TableStyle([*FLUSH, ("LINEBELOW", (0, 0), (-1, -1), 0.5, LINE)])
_STYLES = {
    "plain": _style("plain"),
    "right": _style("right", alignment=2),
    "soft": _style("soft", color=SOFT),
    "soft_right": _style("soft_right", color=SOFT, alignment=2),
    "bold": _style("bold", "Vera-Bold"),
    "title": _style("title", "Vera-Bold", 20),
    "mark": _style("mark", "Vera-Bold", 13, color=colors.white, alignment=1),
    "brand": _style("brand", "Vera-Bold", 12),
    "state": _style("state", "Vera-Bold", 10, color=ACCENT, alignment=2),
    "paid": _style("paid", "Vera-Bold", 10, color=GOOD, alignment=2),
    "overdue": _style("overdue", "Vera-Bold", 10, color=BAD, alignment=2),
    "due": _style("due", "Vera-Bold", 12),
    "due_amount": _style("due_amount", "Vera-Bold", 12, alignment=2),
}
