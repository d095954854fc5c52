"""What is written to whoever owes an invoice: the invoice, reminders, keys that stop and resume, receipts, refunds."""

from uuid import UUID

from db import credit_notes, invoices, organizations, payments
from db.invoices import Line
from db.pool import Tenant
from db.types import CreditNoteId, CycleId, Money, PaymentId
from jobs import dunning, email
from jobs.accounts import link
from jobs.invoices import PROVIDERS, period, unit
from jobs.providers.mail_billing import (
    CreditNote,
    Invoice,
    InvoiceLine,
    KeysResumed,
    KeysSuspended,
    Overdue,
    PaymentRefunded,
    PaymentSuccess,
)
from jobs.providers.mail_words import count
from jobs.resources import Resources


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


@email.composer("credit_note")
async def credit_note(resources: Resources, tenant: Tenant, subject_id: UUID, recipient: str) -> CreditNote | None:
    """Tells that an invoice is corrected."""
    note = await credit_notes.get(tenant, CreditNoteId(subject_id))
    cycle = await invoices.get(tenant, note.billing_cycle_id)
    return CreditNote(
        note.organization_name, note.number_text, note.invoice_text, period(cycle.month), note.reason, note.amount,
        Money(note.balance_minor, note.currency), cycle.outstanding, invoice_url(resources, cycle.id),
    )  # fmt: skip


def invoice_url(resources: Resources, cycle_id: CycleId) -> str:
    """The page of an invoice."""
    return link(resources, f"/invoices/{cycle_id}")


def _in_words(line: Line, currency: str) -> str:
    """A line without columns."""
    if line.kind in ("overage", "late"):
        return f"{line.description}: {count(line.quantity)} at {unit(line, currency)}"
    return line.description
