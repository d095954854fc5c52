"""One realistic mail of each kind, for previews and for the tests that render them all."""

from datetime import UTC, date, datetime, timedelta

from db.types import Money
from jobs.providers import mail_billing as billing
from jobs.providers import mail_kinds as kinds

_SITE = "https://app.example.com"
_TOKEN = "7Yk2mVqT4nXw9LrBzC6sHd1FgJpE8uAa5oKiQeRtMvU"  # noqa: S105 - the look of a token, not one
_NOW = datetime(2026, 12, 1, 9, 41, tzinfo=UTC)


def samples() -> list[kinds.Mail]:
    """One mail of each kind, in the order in which a customer meets them."""
    return [*_people(), *_billing(), *_notices()]


def _people() -> list[kinds.Mail]:
    return [
        kinds.Welcome("Ada Obi", "Blue Heron Logistics", f"{_SITE}/dashboard"),
        kinds.Verification("Ada Obi", f"{_SITE}/verify-email?token={_TOKEN}", 24),
        kinds.PasswordReset("Ada Obi", f"{_SITE}/reset-password?token={_TOKEN}", 1),
        kinds.Invitation("Ada Obi", "Blue Heron Logistics", "admin", f"{_SITE}/invitations?token={_TOKEN}", _NOW),
        kinds.AccountExists("Ada Obi", f"{_SITE}/login", f"{_SITE}/forgot-password"),
    ]


def _billing() -> list[kinds.Mail]:
    name, number, period = "Blue Heron Logistics", "INV-2026-000117", "November 2026"
    due, total = date(2026, 12, 15), Money(6000)
    lines = (
        billing.InvoiceLine("Starter plan, 1–30 November", Money(1000)),
        billing.InvoiceLine("5,000 requests over 10,000, $0.01 each", Money(5000)),
    )
    pay = f"{_SITE}/billing/invoices/{number}"
    return [
        kinds.UsageAlert(
            name, "starter", period, 80, 8_000, 10_000, Money(1), f"{_SITE}/billing", f"{_SITE}/unsubscribe/{_TOKEN}"
        ),
        billing.Invoice(name, number, period, 15_000, total, due, lines, pay),
        billing.PaymentSuccess(name, number, period, total, _NOW, "Stripe", f"{pay}/receipt"),
        billing.PaymentRefunded(name, number, period, total, "Paystack", pay),
        billing.CreditNote(
            name,
            "CN-2026-000003",
            number,
            period,
            "An outage on 3 November",
            Money(1250),
            Money(250),
            Money(500),
            pay,
        ),
        billing.Overdue(name, number, period, 7, total, due, due + timedelta(days=30), pay),
        billing.KeysSuspended(name, number, period, 30, total, pay),
        billing.KeysResumed(name, f"{_SITE}/keys"),
    ]


def _notices() -> list[kinds.Mail]:
    name, address, device = "Blue Heron Logistics", "203.0.113.7", "Firefox on Linux"
    return [
        kinds.KeyCreated(name, "Production server", "sk_live_8fQ2…x7Lp", "Ada Obi", _NOW, f"{_SITE}/keys"),
        kinds.SecurityNotice("password_changed", "Ada Obi", None, _NOW, address, device, f"{_SITE}/forgot-password"),
        kinds.SecurityNotice("new_session", "Ada Obi", None, _NOW, address, device, f"{_SITE}/account/sessions"),
        kinds.SecurityNotice("role_changed", "Chidi Eze", name, _NOW, None, None, f"{_SITE}/team", role="admin"),
        kinds.SecurityNotice(
            "new_owner", "Ada Obi", name, _NOW, None, None, f"{_SITE}/team", person="chidi@example.com", role="owner"
        ),
        kinds.SecurityNotice(
            "key_reported", None, name, _NOW, None, None, f"{_SITE}/keys", key="Shop (sk_live_9f3a…c2d1)"
        ),
        kinds.SecurityNotice("removed_from_team", "Chidi Eze", name, _NOW, None, None, f"{_SITE}/account"),
        kinds.Message(
            name, "Your parcel is on its way", "Hello Tunde,\n\nyour parcel BH-20418 left our depot this morning."
        ),
    ]
