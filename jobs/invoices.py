"""An invoice for people: the words of the document, which are the same as a page and on paper."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from db.credit_notes import CreditNote
from db.invoices import Cycle, Line
from db.payments import Attempt
from db.types import Money
from jobs.providers.mail_words import count, day, money
from jobs.providers.render import PRODUCT
from settings import ROOT

PAGES = ROOT / "templates" / "pages"
STYLE = (PAGES / "invoice.css").read_text()
PROVIDERS = {"stripe": "Stripe", "paystack": "Paystack"}
SUMS = ("carry", "remainder", "tax", "credit")  # lines that are an amount alone
PARTS: dict[Literal["api_key", "endpoint"], str] = {"api_key": "by API key", "endpoint": "by endpoint"}
STATES = {"pending": "Due", "paid": "Paid", "overdue": "Overdue", "parked": "Held back", "void": "Void"}


@dataclass(frozen=True, slots=True)
class Row:
    """One printed line."""

    description: str
    quantity: str
    unit: str
    amount: str


@dataclass(frozen=True, slots=True)
class Breakdown:
    """What an overage is made of: a title, and for each key or endpoint its requests and its amount."""

    title: str
    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Document:
    """Everything an invoice prints, as text."""

    seller: str
    seller_lines: tuple[str, ...]
    number: str
    state: str
    status: str
    organization: str
    email: str
    period: str
    issued: str
    due: str
    rows: tuple[Row, ...]
    sums: tuple[tuple[str, str], ...]
    credits: tuple[tuple[str, str], ...]
    payments: tuple[tuple[str, str], ...]
    shares: tuple[Breakdown, ...]


def document(cycle: Cycle, attempts: list[Attempt], notes: list[CreditNote]) -> Document:
    """The words of an invoice, of the payments it had and of the credit notes that correct it."""
    return Document(
        seller=cycle.seller_name or PRODUCT,
        seller_lines=seller_lines(cycle.seller_address, cycle.seller_tax_number),
        number=cycle.number_text,
        state=STATES[cycle.status],
        status=cycle.status,
        organization=cycle.organization_name,
        email=cycle.organization_email,
        period=period(cycle.month),
        issued=day(cycle.issued_at) if cycle.issued_at else "–",
        due=day(cycle.due_date) if cycle.due_date else "–",
        rows=tuple(_row(line, cycle.currency) for line in cycle.lines),
        sums=tuple(_sums(cycle, notes)),
        credits=tuple(_credit(note) for note in notes),
        payments=tuple(_payment(attempt) for attempt in attempts if attempt.succeeded_minor and attempt.settled_at),
        shares=tuple(_breakdown(line, part, cycle.currency) for line in cycle.lines for part in PARTS if line.shares),
    )


def html(cycle: Cycle, attempts: list[Attempt], notes: list[CreditNote]) -> str:
    """The invoice as a whole page that prints well."""
    return printed("invoice.html", invoice=document(cycle, attempts, notes))


def printed(template: str, **words: object) -> str:
    """A document for print, with its style inside."""
    return _environment.get_template(template).render(style=Markup(STYLE), **words)  # noqa: S704 - our own file


def seller_lines(address: str | None, tax_number: str | None) -> tuple[str, ...]:
    """What stands below the seller's name: the address, a line each, and the tax number."""
    return (*(address or "").splitlines(), *([f"Tax number {tax_number}"] if tax_number else []))


def period(month: date) -> str:
    """`November 2026`."""
    return day(month).split(" ", 1)[1]


def _row(line: Line, currency: str) -> Row:
    return Row(line.description, _quantity(line), unit(line, currency), money(Money(line.amount_minor, currency)))


def _breakdown(line: Line, part: Literal["api_key", "endpoint"], currency: str) -> Breakdown:
    shares = [
        (share.label, count(share.requests), money(Money(share.amount_minor, currency)))
        for share in line.shares_of(part)
    ]
    return Breakdown(f"{line.description}, {PARTS[part]}", tuple(shares))


def _quantity(line: Line) -> str:
    if line.kind == "base":
        return f"{count(line.quantity)} days"
    return "" if line.kind in SUMS else count(line.quantity)


def unit(line: Line, currency: str) -> str:
    """What one of a line's quantity costs; empty where nothing does."""
    price = money(Money(line.unit_minor, currency))
    if line.kind == "base":
        return f"{price} a month"
    if not line.unit_minor or line.kind in SUMS:
        return ""
    return price if line.unit_per == 1 else f"{price} per {count(line.unit_per)}"


def _sums(cycle: Cycle, notes: list[CreditNote]) -> list[tuple[str, str]]:
    sums = [("Total", cycle.total)]
    if cycle.credited_minor:
        numbers = ", ".join(note.number_text for note in notes if note.settled_minor)
        sums.append((f"Credited by {numbers}", Money(-cycle.credited_minor, cycle.currency)))
    if cycle.paid_minor:
        sums.append(("Paid", Money(-cycle.paid_minor, cycle.currency)))
    if cycle.remainder_minor:
        sums.append(("On the next invoice, too small to be paid", Money(-cycle.remainder_minor, cycle.currency)))
    sums.append(("Amount due", cycle.outstanding))
    return [(label, money(amount)) for label, amount in sums]


def _credit(note: CreditNote) -> tuple[str, str]:
    text = f"{note.number_text}, {day(note.issued_at)}: {note.reason}"
    if note.balance_minor:
        text += f" ({money(Money(note.balance_minor, note.currency))} taken off the next invoices)"
    return text, money(Money(-note.amount_minor, note.currency))


def _payment(attempt: Attempt) -> tuple[str, str]:
    text = f"{PROVIDERS[attempt.provider]}, {day(attempt.settled_at)}" if attempt.settled_at else ""
    if attempt.refunded_minor:
        text += f", {money(Money(attempt.refunded_minor, attempt.currency))} given back"
    if attempt.charged_back_minor:
        text += f", {money(Money(attempt.charged_back_minor, attempt.currency))} taken back by the bank"
    return text, money(attempt.amount)


_environment = Environment(
    loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
