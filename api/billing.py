"""Billing over HTTP: what was used and what it costs, the plan, the invoices, and the way to pay them."""

import asyncio
from base64 import b64encode
from hashlib import sha256
from uuid import UUID

from pydantic import Field
from starlette.responses import HTMLResponse, Response

from api.billing_answers import Checkout, PreviewAnswer, preview_answer
from api.fields import Body, PageQuery, Pagination, Query, amount
from api.http import Permission, Router, UserCall
from api.invoice_answers import History, InvoiceDetails, history
from api.plan_answers import ChangedPlan, PlanAnswer, PlanPreviewAnswer
from api.usage_answers import UsageAnswer, UsageQuery, usage_in
from db import credit_notes, invoices, payments, plans, previews
from db.credit_notes import CreditNote
from db.invoices import Cycle
from db.payments import Attempt, ProviderName
from db.types import CycleId, Plan
from jobs import checkout, invoice_pdf
from jobs.invoices import STYLE, html

router = Router("/billing", tag="Billing")

STYLE_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
DOCUMENT_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; frame-ancestors 'none'"
}


class PlanChange(Body):
    """The plan to be on."""

    plan: Plan = Field(
        description="A higher plan acts at once, a lower one with the next month; the present one keeps it"
    )


class PlanQuery(Query):
    """The plan that is thought of."""

    plan: Plan = Field(description="Any but the one that the organization is on or moves to already")


class PaymentStart(Body):
    """What to pay, and with whom."""

    billing_cycle_id: UUID = Field(description="The invoice")
    provider: ProviderName


@router.get("/usage", access=Permission.VIEW_BILLING, replica=True)
async def usage(call: UserCall, query: UsageQuery) -> UsageAnswer:
    """Usage and its cost, by endpoint, key and day; every cost is exact and sums to the total."""
    return await usage_in(call.tenant, query, call.now())


@router.get("/history", access=Permission.VIEW_BILLING, replica=True)
async def billing_history(call: UserCall, query: PageQuery) -> History:
    """The invoices, newest first, and what all of them sum to."""
    cycles, totals = await invoices.issued(call.tenant, query.page, query.limit)
    return history(cycles, totals, Pagination.at(query, totals.invoices))


@router.get("/calculate", access=Permission.VIEW_BILLING, replica=True)
async def calculate(call: UserCall) -> PreviewAnswer:
    """What this month's invoice would be now, computed by the function that will write it."""
    return preview_answer(await previews.preview(call.tenant, call.now()))


@router.get("/upgrade-preview", access=Permission.VIEW_BILLING, errors=("CONFLICT",))
async def upgrade_preview(call: UserCall, query: PlanQuery) -> PlanPreviewAnswer:
    """What changing the plan now would make of this month's invoice; refused where the change would be."""
    return PlanPreviewAnswer.made(await plans.preview(call.tenant, query.plan, call.now()))


@router.post("/upgrade", access=Permission.UPGRADE_PLAN, message="Plan changed", idempotent=True, errors=("CONFLICT",))
async def upgrade(call: UserCall, body: PlanChange) -> PlanAnswer:
    """Change the plan: up at once, down with the next month; asking for the present one takes a planned change back."""
    changed = await plans.change(call.tenant, body.plan, call.now())
    call.after_commit(lambda: call.resources.limits.bump(call.organization_id, recount=True))
    return PlanAnswer(organization=ChangedPlan.of(changed))


@router.post(
    "/initiate-payment",
    access=Permission.PAY_INVOICES,
    message="Continue to the provider's page",
    transaction=False,
    idempotent=True,
    errors=("CONFLICT", "NOT_FOUND", "SERVICE_UNAVAILABLE"),
)
async def initiate_payment(call: UserCall, body: PaymentStart) -> Checkout:
    """Start paying an invoice. A second call gives the same page; another provider closes the first one's page."""
    attempt = await checkout.open_checkout(
        call.resources, call.transaction, CycleId(body.billing_cycle_id), body.provider
    )
    return Checkout(
        payment_url=attempt.url or "",
        amount=amount(attempt.amount_minor),
        amount_minor=attempt.amount_minor,
        currency=attempt.currency,
        billing_cycle_id=attempt.billing_cycle_id,
        provider=attempt.provider,
        status="pending",
        expires_at=attempt.expires_at,
    )


@router.get("/invoices/{invoice_id}.html", access=Permission.VIEW_BILLING, replica=True)
async def invoice_page(call: UserCall, invoice_id: UUID) -> HTMLResponse:
    """An invoice as a page that prints well."""
    return HTMLResponse(html(*await _invoice(call, invoice_id)), headers=DOCUMENT_HEADERS)


@router.get("/invoices/{invoice_id}.pdf", access=Permission.VIEW_BILLING, replica=True)
async def invoice_paper(call: UserCall, invoice_id: UUID) -> Response:
    """An invoice as PDF."""
    cycle, attempts, notes = await _invoice(call, invoice_id)
    return paper(await asyncio.to_thread(invoice_pdf.pdf, cycle, attempts, notes), cycle.number_text)


def paper(pdf: bytes, name: str) -> Response:
    """A document on paper, for a browser to show or to keep."""
    kept_as = {"Content-Disposition": f'inline; filename="{name}.pdf"'}
    return Response(pdf, media_type="application/pdf", headers=DOCUMENT_HEADERS | kept_as)


@router.get("/invoices/{invoice_id}", access=Permission.VIEW_BILLING, replica=True)
async def invoice(call: UserCall, invoice_id: UUID) -> InvoiceDetails:
    """An invoice with its lines, its payments and the credit notes that correct it."""
    return InvoiceDetails.made(*await _invoice(call, invoice_id))


async def _invoice(call: UserCall, invoice_id: UUID) -> tuple[Cycle, list[Attempt], list[CreditNote]]:
    cycle = await invoices.get_issued(call.tenant, CycleId(invoice_id))
    attempts = await payments.of_invoice(call.tenant, cycle.id)
    return (
        await invoices.with_shares(call.tenant, cycle),
        attempts,
        await credit_notes.of_invoice(call.tenant, cycle.id),
    )
