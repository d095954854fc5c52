"""What every document on paper shares: A4, letterhead, fonts that are embedded, and text that they can draw."""

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

INK, SOFT, LINE = colors.HexColor("#16181d"), colors.HexColor("#687080"), colors.HexColor("#e4e6eb")
ACCENT, GOOD, BAD = colors.HexColor("#2456d3"), colors.HexColor("#1c7a4a"), colors.HexColor("#b3261e")
WIDTH = A4[0] - 40 * mm
MARGIN = 20 * mm - 6  # the frame pads by six points
MARK = 8 * mm
FLUSH: list[tuple[Any, ...]] = [
    ("LEFTPADDING", (0, 0), (0, -1), 0), ("RIGHTPADDING", (-1, 0), (-1, -1), 0), ("VALIGN", (0, 0), (-1, -1), "TOP"),
]  # fmt: skip
"""The outer columns end where the page's margins do."""


def paper(title: str, author: str, parts: list[Flowable]) -> bytes:
    """A document on as many pages as it takes."""
    written = io.BytesIO()
    template = SimpleDocTemplate(
        written, pagesize=A4, leftMargin=MARGIN, rightMargin=MARGIN, topMargin=20 * mm, bottomMargin=20 * mm,
        title=title, author=author, invariant=1,
    )  # fmt: skip
    template.build(parts, onFirstPage=_foot, onLaterPages=_foot)
    return written.getvalue()


def letterhead(seller: str, lines: tuple[str, ...], state: Flowable) -> list[Flowable]:
    """Who sells, with address and tax number, and how the document stands."""
    brand = [text(seller[0], "mark"), text(seller, "brand"), state]
    mark = [("BACKGROUND", (0, 0), (0, 0), ACCENT)]
    head = Table([brand], [MARK, WIDTH * 0.7 - MARK, WIDTH * 0.3], [MARK], style=TableStyle([*FLUSH, *mark, *CENTRED]))
    address = [text(line, "soft") for line in lines]
    return [head, *([Spacer(0, 2 * mm)] if address else []), *address, Spacer(0, 6 * mm)]


def listed(title: str, entries: tuple[tuple[str, str], ...]) -> list[Flowable]:
    """A title and under it texts with their amounts; nothing when there are none."""
    if not entries:
        return []
    rows = [[text(words, "plain"), text(amount, "right")] for words, amount in entries]
    return [
        Spacer(0, 8 * mm),
        text(title, "bold"),
        Table(rows, [WIDTH * 0.75, WIDTH * 0.25], style=TableStyle(FLUSH)),
    ]


def text(words: str, style: str) -> Paragraph:
    """A paragraph; what the embedded font cannot draw is drawn by its nearest letters, else by a question mark."""
    drawable = "".join(_drawable(character) for character in words)
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
