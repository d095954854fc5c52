"""The invoices of `mts demo`: the product closes every past month, by a clock that stands at its end."""

from datetime import date

from cli.demo_calendar import Calendar, standing
from cli.demo_cast import MonthPlan
from cli.errors import CommandError
from db import billing, payments
from db.invoices import Cycle
from db.payments import Attempt, NewAttempt
from db.pool import Tenant
from jobs.billing import close_one
from jobs.checkout import OPEN_FOR
from jobs.providers.payments import PaymentState, checkout_expiry
from jobs.resources import Resources
from jobs.settlement import settle

PATIENT_DAYS = 45
OVERDUE_DAYS = 10  # reminded of twice, and its keys still work
PAID_AFTER_DAYS = (3.1, 8.6, 5.4, 1.9, 6.3, 4.2)
VOID_REASON = "Support: a client of theirs polled without a pause for a weekend; not charged"


async def write_invoices(migrator: Resources, tenant: Tenant, calendar: Calendar) -> None:
    """Close the organization's months one after the other, and let come of each invoice what the story says."""
    for number, plan in enumerate(calendar.story.months):
        month = calendar.months[number]
        cycle = await _close(migrator, tenant, calendar, month, plan)
        if plan.fate == "void":
            await billing.void(tenant, cycle.id, VOID_REASON)
        if plan.fate == "paid":
            await _pay(migrator, tenant, calendar, cycle, plan, PAID_AFTER_DAYS[number])
    while missing := await billing.missing_months(tenant):
        # A month ended while we were writing.
        await close_one(standing(migrator, calendar.now), tenant, missing[0])


async def _close(migrator: Resources, tenant: Tenant, calendar: Calendar, month: date, plan: MonthPlan) -> Cycle:
    """The month's invoice; for one that is to be pending or overdue today a later due date was agreed on."""
    issued = calendar.invoiced(month)
    due_days = {"pending": PATIENT_DAYS, "overdue": (calendar.now - issued).days - OVERDUE_DAYS}.get(plan.fate)
    cycle = await close_one(standing(migrator, issued, due_days), tenant, month)
    expected = "parked" if plan.runaway else "pending"
    if cycle is None or cycle.status != expected:
        raise CommandError(f"The invoice of {month:%B %Y} is {cycle and cycle.status}, not {expected}.")
    return cycle


async def _pay(
    migrator: Resources, tenant: Tenant, calendar: Calendar, cycle: Cycle, plan: MonthPlan, days: float
) -> None:
    """A payment of the past: no provider opens a checkout that has expired already, so its word is given by us."""
    began = calendar.after(calendar.invoiced(cycle.month), days)
    new = NewAttempt(
        cycle.id, plan.provider, cycle.organization_email, cycle.outstanding, cycle.outstanding.minor,
        checkout_expiry(began, OPEN_FOR),
    )  # fmt: skip
    attempt = await payments.begin(tenant, new, began)
    if attempt is None:
        raise CommandError(f"The invoice of {cycle.month:%B %Y} cannot be paid.")
    reference = f"demo-{attempt.id.hex}"
    await payments.store_checkout(tenant, attempt, reference, "", attempt.expires_at, began)
    paid_at = calendar.after(began, 0.002)
    outcome = await settle(standing(migrator, paid_at), tenant, attempt.id, _paid(migrator, attempt, reference))
    if outcome != "applied":
        raise CommandError(f"The payment of {cycle.month:%B %Y} was not taken: {outcome}.")


def _paid(migrator: Resources, attempt: Attempt, reference: str) -> PaymentState:
    provider = migrator.payments[attempt.provider]
    return PaymentState(
        reference, "succeeded", attempt.amount_minor, attempt.currency, provider.livemode, {},
        f"demo-payment-{attempt.id.hex}",
    )  # fmt: skip
