"""The kinds of mail about money that is owed, paid, given back or overdue."""

from dataclasses import dataclass
from datetime import date, datetime

from db.types import Money
from jobs.providers.untrusted import Link


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line of an invoice; credits are negative."""

    description: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Invoice:
    """To the billing contact when a month is closed; `amount` is the sum of `lines`."""

    organization: str
    number: str
    period: str
    total_requests: int
    amount: Money
    due_date: date
    lines: tuple[InvoiceLine, ...]
    pay_url: Link


@dataclass(frozen=True, slots=True)
class PaymentSuccess:
    """To the billing contact when an invoice is paid."""

    organization: str
    number: str
    period: str
    amount: Money
    paid_at: datetime
    provider: str
    receipt_url: Link


@dataclass(frozen=True, slots=True)
class PaymentRefunded:
    """To the billing contact when money that came too much is given back."""

    organization: str
    number: str
    period: str
    amount: Money
    provider: str
    invoice_url: Link


@dataclass(frozen=True, slots=True)
class CreditNote:
    """To the billing contact when an invoice is corrected; `later` comes off the next ones, `owed` is left of it."""

    organization: str
    number: str
    invoice: str
    period: str
    why: str
    amount: Money
    later: Money
    owed: Money
    invoice_url: Link


@dataclass(frozen=True, slots=True)
class Overdue:
    """To the billing contact 1, 7 and 14 days after the due date; `keys_work_until` is None once keys are refused."""

    organization: str
    number: str
    period: str
    days_overdue: int
    amount: Money
    due_date: date
    keys_work_until: date | None
    pay_url: Link


@dataclass(frozen=True, slots=True)
class KeysSuspended:
    """To the billing contact when API keys are refused because an invoice is long overdue."""

    organization: str
    number: str
    period: str
    days_overdue: int
    amount: Money
    pay_url: Link


@dataclass(frozen=True, slots=True)
class KeysResumed:
    """To the billing contact when the API keys work again."""

    organization: str
    keys_url: Link
