"""Credit notes: what corrects an issued invoice, as a document of its own that never changes."""

from dataclasses import dataclass
from datetime import UTC, datetime

from db.billing import NOBODY, Seller, refusals
from db.errors import NotFound
from db.invoices import CycleStatus, number_text
from db.pool import Tenant
from db.statements import load
from db.types import CreditNoteId, CycleId, Money, new_id

queries = load("credit_notes")


@dataclass(frozen=True, slots=True)
class CreditNote:
    """`settled_minor` was still owed for the invoice; `balance_minor` was paid, and the next invoices take it off."""

    id: CreditNoteId
    billing_cycle_id: CycleId
    number: int
    amount_minor: int
    settled_minor: int
    balance_minor: int
    currency: str
    reason: str
    organization_name: str
    organization_email: str
    seller_name: str | None
    seller_address: str | None
    seller_tax_number: str | None
    issued_at: datetime
    invoice_number: int | None
    invoice_issued_at: datetime | None

    @property
    def amount(self) -> Money:
        """The whole of it, tax included."""
        return Money(self.amount_minor, self.currency)

    @property
    def number_text(self) -> str:
        """The number as people read it: CN-2026-000003; the year is that of the issue."""
        return f"CN-{self.issued_at.astimezone(UTC).year}-{self.number:06}"

    @property
    def invoice_text(self) -> str:
        """The number of the corrected invoice."""
        return number_text(self.invoice_number, self.invoice_issued_at)


@dataclass(frozen=True, slots=True)
class CreditTotals:
    """What an organization's credit notes sum to, and what of it the next invoices will take off, in minor units."""

    notes: int
    credited_minor: int
    balance_minor: int


async def credit(
    tenant: Tenant,
    cycle_id: CycleId,
    amount: Money,
    reason: str,
    now: datetime,
    seller: Seller = NOBODY,
    key: str | None = None,
) -> tuple[CreditNoteId, CycleStatus]:
    """Write a credit note for an issued invoice: its id, and the invoice's new status. For the worker's role.

    What the invoice still owes is not owed any more; what was paid already is taken off the next ones.
    A repeat is known by its key, or without one by amount and reason. Raises Conflict: ALREADY_CREDITED when the
    invoice has a note of that key, else CONFLICT, when it is not issued or its notes would be more than its total.
    """
    note_id = CreditNoteId(new_id())
    with refusals():
        status: CycleStatus = await queries.credit(
            tenant.conn, organization_id=tenant.organization_id, billing_cycle_id=cycle_id, minor=amount.minor,
            reason=reason, now=now, id=note_id, seller_name=seller.name, seller_address=seller.address,
            seller_tax_number=seller.tax_number, key=key,
        )  # fmt: skip
    return note_id, status


async def get(tenant: Tenant, note_id: CreditNoteId) -> CreditNote:
    """One credit note. Raises NotFound."""
    row = await queries.get(tenant.conn, organization_id=tenant.organization_id, id=note_id)
    if row is None:
        raise NotFound("Credit note")
    return CreditNote(**row)


async def page(tenant: Tenant, number: int, size: int) -> tuple[list[CreditNote], CreditTotals]:
    """One page of credit notes, newest first, and what all of them sum to."""
    rows = queries.page(tenant.conn, organization_id=tenant.organization_id, limit=size, offset=(number - 1) * size)
    notes = [CreditNote(**row) async for row in rows]
    return notes, CreditTotals(**await queries.totals(tenant.conn, organization_id=tenant.organization_id))


async def of_invoice(tenant: Tenant, cycle_id: CycleId) -> list[CreditNote]:
    """The credit notes of an invoice, oldest first."""
    rows = queries.of_invoice(tenant.conn, organization_id=tenant.organization_id, billing_cycle_id=cycle_id)
    return [CreditNote(**row) async for row in rows]
