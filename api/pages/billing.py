"""Billing in the browser: this month so far, the plans, invoices and the way to pay them."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field
from starlette.responses import RedirectResponse, Response

from api import billing as endpoints
from api import credit_notes as note_endpoints
from api.fields import PageQuery, Query
from api.http import UserCall
from api.pages.forms import EMPTY, Filled, Form
from api.pages.render import page
from api.pages.router import Pages, Rule, go
from db import billing, credit_notes, invoices, payments, plans, previews
from db.errors import Conflict
from db.payments import Attempt
from db.plans import Offer, PlanPreview
from db.types import CycleId, Plan

pages = Pages("Billing")

NOTES_SHOWN = 20  # the newest credit notes on the page; the API pages through all
LOOKS = 20  # times that the page asks again by itself whether a payment has arrived


class ReturnQuery(Query):
    """What a provider's page sends back with the payer; none of it is believed."""

    payment: Literal["done", "cancelled"] | None = None
    look: Annotated[int, Field(ge=0, le=LOOKS)] = 0
    trxref: str = ""
    reference: str = ""


@pages.show("/billing", Rule.of(endpoints.router, endpoints.billing_history))
async def overview(call: UserCall, query: PageQuery) -> Response:
    """The month, the plans and the invoices."""
    return await _overview(call, query=query)


async def _overview(call: UserCall, filled: Filled = EMPTY, query: PageQuery | None = None) -> Response:
    query = query or PageQuery()
    preview = await previews.preview(call.tenant, call.now())
    offers = await plans.offers(call.tenant, call.now())
    cycles, totals = await invoices.issued(call.tenant, query.page, query.limit)
    notes, credited = await credit_notes.page(call.tenant, 1, NOTES_SHOWN)
    return await page(
        call, "billing.html", filled=filled, preview=preview, offers=offers, cycles=cycles, totals=totals, query=query,
        notes=notes, credited=credited,
        previews=await _previews(call, offers), current_rank=[offer.plan for offer in offers].index(preview.plan),
        next_month=billing.next_month(call.now().date()), providers=_providers(call),
    )  # fmt: skip


async def _previews(call: UserCall, offers: list[Offer]) -> dict[Plan, PlanPreview]:
    """What each plan that can be moved to would make of this month's invoice."""
    found: dict[Plan, PlanPreview] = {}
    for offer in offers:
        try:
            found[offer.plan] = await plans.preview(call.tenant, offer.plan, call.now())
        except Conflict:
            continue  # it is on that plan, or the move would be refused: the form says why
    return found


@pages.submit("/billing/plan", Rule.of(endpoints.router, endpoints.upgrade), again=_overview)
async def change_plan(call: UserCall, body: Form) -> Response:
    """Move to another plan, or take a planned move back."""
    changed = (await endpoints.upgrade(call, body.read(endpoints.PlanChange))).organization
    if changed.pending_plan:
        return go(call, "/billing", f"You move to the {changed.pending_plan.capitalize()} plan with the next month.")
    return go(call, "/billing", f"You are on the {changed.plan.capitalize()} plan.")


@pages.show("/invoices/{cycle_id}", Rule.of(endpoints.router, endpoints.invoice))
async def invoice(call: UserCall, cycle_id: UUID, query: ReturnQuery) -> Response:
    """One invoice with its lines and payments; whoever comes back from paying sees how it stands, nothing more."""
    return await _invoice(call, cycle_id, query=query)


async def _invoice(
    call: UserCall, cycle_id: UUID, filled: Filled = EMPTY, query: ReturnQuery | None = None
) -> Response:
    query = query or ReturnQuery()
    cycle = await invoices.get_issued(call.tenant, CycleId(cycle_id))
    attempts = await payments.of_invoice(call.tenant, cycle.id)
    is_waiting = query.payment == "done" and _is_open(attempts)
    return await page(
        call, "invoice_page.html", filled=filled, cycle=cycle, attempts=attempts, providers=_providers(call),
        returned=query.payment, next_look=query.look + 1 if is_waiting and query.look < LOOKS else None,
        is_waiting=is_waiting, notes=await credit_notes.of_invoice(call.tenant, cycle.id),
    )  # fmt: skip


async def _invoice_anew(call: UserCall, cycle_id: UUID, filled: Filled, **more: Any) -> Response:
    async with call.transaction(read_only=True):
        return await _invoice(call, cycle_id, filled)


@pages.submit(
    "/invoices/{cycle_id}/pay", Rule.of(endpoints.router, endpoints.initiate_payment), _invoice_anew, outside=True
)
async def pay(call: UserCall, body: Form, cycle_id: UUID) -> Response:
    """On to the provider's page."""
    start = body.read(endpoints.PaymentStart, billing_cycle_id=cycle_id)
    checkout = await endpoints.initiate_payment(call, start)
    return RedirectResponse(checkout.payment_url, 303)


@pages.show("/invoices/{invoice_id}/print", Rule.of(endpoints.router, endpoints.invoice_page))
async def document(call: UserCall, invoice_id: UUID) -> Response:
    """The invoice as a document that prints well."""
    return await endpoints.invoice_page(call, invoice_id)


@pages.show("/invoices/{invoice_id}/pdf", Rule.of(endpoints.router, endpoints.invoice_paper))
async def paper(call: UserCall, invoice_id: UUID) -> Response:
    """The invoice as PDF."""
    return await endpoints.invoice_paper(call, invoice_id)


@pages.show("/credit-notes/{credit_note_id}/print", Rule.of(note_endpoints.router, note_endpoints.credit_note_page))
async def credit_note(call: UserCall, credit_note_id: UUID) -> Response:
    """A credit note as a document that prints well."""
    return await note_endpoints.credit_note_page(call, credit_note_id)


@pages.show("/credit-notes/{credit_note_id}/pdf", Rule.of(note_endpoints.router, note_endpoints.credit_note_paper))
async def credit_note_paper(call: UserCall, credit_note_id: UUID) -> Response:
    """A credit note as PDF."""
    return await note_endpoints.credit_note_paper(call, credit_note_id)


def _providers(call: UserCall) -> list[str]:
    """The ways to pay that this installation offers, Stripe first."""
    return sorted(call.resources.payments, reverse=True)


def _is_open(attempts: list[Attempt]) -> bool:
    return bool(attempts) and attempts[-1].status == "open"
