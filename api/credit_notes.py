"""Credit notes over HTTP: the corrections of invoices, each a document of its own."""

import asyncio
from uuid import UUID

from starlette.responses import HTMLResponse, Response

from api.billing import DOCUMENT_HEADERS, paper
from api.credit_note_answers import CreditNoteAnswer, CreditNotes
from api.fields import PageQuery, Pagination
from api.http import Permission, Router, UserCall
from db import credit_notes
from db.types import CreditNoteId
from jobs import credit_notes as documents

router = Router("/billing/credit-notes", tag="Billing")


@router.get("", access=Permission.VIEW_BILLING, replica=True)
async def list_credit_notes(call: UserCall, query: PageQuery) -> CreditNotes:
    """The credit notes, newest first, and what the next invoices will take off."""
    notes, totals = await credit_notes.page(call.tenant, query.page, query.limit)
    return CreditNotes.made(notes, totals, Pagination.at(query, totals.notes))


@router.get("/{credit_note_id}.html", access=Permission.VIEW_BILLING, replica=True)
async def credit_note_page(call: UserCall, credit_note_id: UUID) -> HTMLResponse:
    """A credit note as a page that prints well."""
    note = await credit_notes.get(call.tenant, CreditNoteId(credit_note_id))
    return HTMLResponse(documents.html(note), headers=DOCUMENT_HEADERS)


@router.get("/{credit_note_id}.pdf", access=Permission.VIEW_BILLING, replica=True)
async def credit_note_paper(call: UserCall, credit_note_id: UUID) -> Response:
    """A credit note as PDF."""
    note = await credit_notes.get(call.tenant, CreditNoteId(credit_note_id))
    return paper(await asyncio.to_thread(documents.pdf, note), note.number_text)


@router.get("/{credit_note_id}", access=Permission.VIEW_BILLING, replica=True)
async def credit_note(call: UserCall, credit_note_id: UUID) -> CreditNoteAnswer:
    """One credit note."""
    return CreditNoteAnswer.made(await credit_notes.get(call.tenant, CreditNoteId(credit_note_id)))
