"""An invoice for people: its mails, and the document as a page and on paper, made from the same words."""

from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from db import invoices, organizations, payments
from db.invoices import Cycle, Line
from db.payments import Attempt
from db.pool import Tenant
from db.types import CycleId, Money, PaymentId
from jobs import dunning, email
from jobs.accounts import link
from jobs.providers.mail_kinds import (
    Invoice,
    InvoiceLine,
    KeysResumed,
    KeysSuspended,
    Overdue,
    PaymentRefunded,
    PaymentSuccess,
)
from jobs.providers.mail_words import count, day, money
from jobs.providers.render import PRODUCT
from jobs.resources import Resources
from settings import ROOT

PAGES = ROOT / "templates" / "pages"
STYLE = (PAGES / "invoice.css").read_text()
PROVIDERS = {"stripe": "Stripe", "paystack": "Paystack"}
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
    payments: tuple[tuple[str, str], ...]
    shares: tuple[Breakdown, ...]


def document(cycle: Cycle, attempts: list[Attempt]) -> Document:
    """The words of an invoice and of the payments it had."""
    return Document(
        seller=PRODUCT,
        number=cycle.number_text,
        state=STATES[cycle.status],
        status=cycle.status,
        organization=cycle.organization_name,
        email=cycle.organization_email,
        period=period(cycle.month),
        issued=day(cycle.issued_at) if cycle.issued_at else "–",
        due=day(cycle.due_date) if cycle.due_date else "–",
        rows=tuple(_row(line, cycle.currency) for line in cycle.lines),
        sums=tuple(_sums(cycle)),
        payments=tuple(_payment(attempt) for attempt in attempts if attempt.succeeded_minor and attempt.settled_at),
        shares=tuple(_breakdown(line, part, cycle.currency) for line in cycle.lines for part in PARTS if line.shares),
    )


def html(cycle: Cycle, attempts: list[Attempt]) -> str:
    """The invoice as a whole page that prints well."""
    page = _environment.get_template("invoice.html")
    return page.render(invoice=document(cycle, attempts), style=Markup(STYLE))  # noqa: S704 - our own file


def period(month: date) -> str:
    """`November 2026`."""
    return day(month).split(" ", 1)[1]


def _row(line: Line, currency: str) -> Row:
    return Row(line.description, _quantity(line), _unit(line, currency), money(Money(line.amount_minor, currency)))


def _breakdown(line: Line, part: Literal["api_key", "endpoint"], currency: str) -> Breakdown:
    shares = [
        (share.label, count(share.requests), money(Money(share.amount_minor, currency)))
        for share in line.shares_of(part)
    ]
    return Breakdown(f"{line.description}, {PARTS[part]}", tuple(shares))


def _quantity(line: Line) -> str:
    if line.kind == "base":
        return f"{count(line.quantity)} days"
    return "" if line.kind in ("carry", "tax") else count(line.quantity)


def _unit(line: Line, currency: str) -> str:
    price = money(Money(line.unit_minor, currency))
    if line.kind == "base":
        return f"{price} a month"
    if not line.unit_minor or line.kind in ("carry", "tax"):
        return ""
    return price if line.unit_per == 1 else f"{price} per {count(line.unit_per)}"


def _sums(cycle: Cycle) -> list[tuple[str, str]]:
    sums = [("Total", cycle.total)]
    if cycle.credited_minor:
        sums.append(("Credited", Money(-cycle.credited_minor, cycle.currency)))
    if cycle.paid_minor:
        sums.append(("Paid", Money(-cycle.paid_minor, cycle.currency)))
    sums.append(("Amount due", cycle.outstanding))
    return [(label, money(amount)) for label, amount in sums]


def _payment(attempt: Attempt) -> tuple[str, str]:
    text = f"{PROVIDERS[attempt.provider]}, {day(attempt.settled_at)}" if attempt.settled_at else ""
    if attempt.refunded_minor:
        text += f", {money(Money(attempt.refunded_minor, attempt.currency))} given back"
    return text, money(attempt.amount)


@email.composer("invoice")
async def invoice_mail(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> Invoice | None:
    """To the billing contact when a month is closed."""
    cycle = await invoices.get(tenant, CycleId(subject_id))
    if cycle.status not in ("pending", "overdue") or cycle.due_date is None:
        return None
    lines = tuple(
        InvoiceLine(_in_words(line, cycle.currency), Money(line.amount_minor, cycle.currency))
        for line in cycle.lines
        if line.amount_minor
    )
    return Invoice(
        cycle.organization_name, cycle.number_text, period(cycle.month), cycle.total_requests, cycle.total,
        cycle.due_date.date(), lines, invoice_url(resources, cycle.id),
    )  # fmt: skip


@email.composer("overdue")
async def overdue_mail(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> Overdue | None:
    """A reminder; none is sent when the money came meanwhile."""
    cycle = await invoices.get(tenant, CycleId(subject_id))
    if cycle.status != "overdue" or cycle.due_date is None:
        return None
    days = dunning.days_overdue(cycle, resources.clock.now())
    organization = await organizations.get(tenant)
    until = None if organization.keys_suspended_at else dunning.keys_work_until(resources, cycle)
    return Overdue(
        cycle.organization_name, cycle.number_text, period(cycle.month), days, cycle.outstanding,
        cycle.due_date.date(), until, invoice_url(resources, cycle.id),
    )  # fmt: skip


@email.composer("keys_suspended")
async def suspension(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> KeysSuspended | None:
    """Tells that API keys are refused, and for which invoice; none is sent when the money came meanwhile."""
    organization = await organizations.get(tenant)
    owed = await invoices.unpaid(tenant)
    if organization.keys_suspended_at is None or not owed:
        return None
    cycle = owed[0]
    return KeysSuspended(
        organization.name, cycle.number_text, period(cycle.month),
        dunning.days_overdue(cycle, resources.clock.now()), cycle.outstanding, invoice_url(resources, cycle.id),
    )  # fmt: skip


@email.composer("keys_resumed")
async def resumption(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> KeysResumed | None:
    """Tells that API keys work again."""
    organization = await organizations.get(tenant)
    if organization.keys_suspended_at is not None:
        return None
    return KeysResumed(organization.name, link(resources, "/keys"))


@email.composer("payment_success")
async def receipt(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> PaymentSuccess | None:
    """The receipt for a payment."""
    attempt = await payments.get(tenant, PaymentId(subject_id))
    if attempt is None or attempt.settled_at is None:
        return None
    cycle = await invoices.get(tenant, attempt.billing_cycle_id)
    organization = await organizations.get(tenant)
    return PaymentSuccess(
        organization.name, cycle.number_text, period(cycle.month), attempt.amount, attempt.settled_at,
        PROVIDERS[attempt.provider], invoice_url(resources, cycle.id),
    )  # fmt: skip


@email.composer("payment_refunded")
async def refund(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> PaymentRefunded | None:
    """Tells that money which came too much is given back."""
    attempt = await payments.get(tenant, PaymentId(subject_id))
    if attempt is None or not attempt.refunded_minor:
        return None
    cycle = await invoices.get(tenant, attempt.billing_cycle_id)
    amount = Money(attempt.refunded_minor, attempt.currency)
    return PaymentRefunded(
        cycle.organization_name, cycle.number_text, period(cycle.month), amount, PROVIDERS[attempt.provider],
        invoice_url(resources, cycle.id),
    )  # fmt: skip


def invoice_url(resources: Resources, cycle_id: CycleId) -> str:
    """The page of an invoice."""
    return link(resources, f"/invoices/{cycle_id}")


def _in_words(line: Line, currency: str) -> str:
    """A line without columns."""
    if line.kind in ("overage", "late"):
        return f"{line.description}: {count(line.quantity)} at {_unit(line, currency)}"
    return line.description


_environment = Environment(
    loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
