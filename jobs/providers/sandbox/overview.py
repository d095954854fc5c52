"""The first page: what has been going on in every sandbox, newest first."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from jobs.providers.sandbox.pages import moment, money, render
from jobs.providers.sandbox.state import Sandbox, sandbox_of

SHOWN = 20
LINKS = [("/mail/", "Mail"), ("/twilio/messages", "Text messages"), ("/control", "Faults and deliveries (JSON)")]


async def index(request: Request) -> Response:
    """GET /."""
    sandbox = sandbox_of(request)
    tables = [_sessions(sandbox), _transactions(sandbox), _refunds(sandbox), _deliveries(sandbox)]
    return render("index.html", links=LINKS, tables=tables)


def _sessions(sandbox: Sandbox) -> dict[str, Any]:
    rows = [
        [
            moment(row["created"]),
            {"text": row["metadata"].get("invoice_number") or row["id"][:24], "link": f"/stripe/pay/{row['id']}"},
            money(row["amount_total"], row["currency"]),
            f"{row['status']}, {row['payment_status']}",
            row["payment_intent"] or "–",
        ]
        for row in sandbox.store.select("checkout.session", limit=SHOWN)
    ]
    return {"title": "Stripe checkouts", "columns": ["Created", "Invoice", "Amount", "State", "Payment"], "rows": rows}


def _transactions(sandbox: Sandbox) -> dict[str, Any]:
    rows = [
        [
            row["created_at"],
            {"text": row["reference"], "link": f"/paystack/pay/{row['access_code']}"},
            money(row["amount"], row["currency"]),
            row["status"],
        ]
        for row in sandbox.store.select("transaction", limit=SHOWN)
    ]
    return {"title": "Paystack transactions", "columns": ["Created", "Reference", "Amount", "State"], "rows": rows}


def _refunds(sandbox: Sandbox) -> dict[str, Any]:
    rows = [
        [kind, row["id"], money(row["amount"], row["currency"]), row["status"]]
        for name, kind in (
            ("refund", "Stripe refund"),
            ("dispute", "Stripe dispute"),
            ("paystack_refund", "Paystack refund"),
        )
        for row in sandbox.store.select(name, limit=SHOWN)
    ]
    return {"title": "Refunds and disputes", "columns": ["Kind", "Id", "Amount", "State"], "rows": rows}


def _deliveries(sandbox: Sandbox) -> dict[str, Any]:
    text = "select provider, event_id, state, attempts, result from deliveries order by id desc limit ?"
    rows = [
        [row["provider"], row["event_id"], row["state"], row["attempts"], row["result"] or "–"]
        for row in sandbox.store.connection.execute(text, (SHOWN,))
    ]
    return {"title": "Posted events", "columns": ["From", "Event", "State", "Tries", "Last answer"], "rows": rows}
