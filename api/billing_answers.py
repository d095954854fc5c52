"""The shapes of billing's answers: amounts are exact numbers with two decimals, beside them whole minor units."""

from typing import Literal, Self
from uuid import UUID

from api.fields import Amount, Answer, Timestamp, amount
from db.invoices import Line
from db.previews import Preview
from db.types import Plan


class LineAnswer(Answer):
    """One line: `amount` is `unit_price_minor` for each `unit_per` of the quantity."""

    kind: str
    plan: str | None
    description: str
    quantity: int
    unit_price_minor: int
    unit_per: int
    amount: Amount
    amount_minor: int

    @classmethod
    def made(cls, line: Line) -> Self:
        """The answer for a domain result."""
        return cls.of(line, unit_price_minor=line.unit_minor, amount=amount(line.amount_minor))


class PreviewAnswer(Answer):
    """The invoice of the open month as it would be now; `overage` are requests over the included ones."""

    period: str
    plan: Plan
    pending_plan: Plan | None
    total_requests: int
    included: int
    overage: int
    base: Amount
    overage_amount: Amount
    total_amount: Amount
    amount_minor: int
    currency: str
    status: Literal["calculating"]
    lines: list[LineAnswer]


class Checkout(Answer):
    """Where to pay."""

    payment_url: str
    amount: Amount
    amount_minor: int
    currency: str
    billing_cycle_id: UUID
    provider: str
    status: Literal["pending"]
    expires_at: Timestamp


def preview_answer(preview: Preview) -> PreviewAnswer:
    """The answer of the preview."""
    return PreviewAnswer(
        period=f"{preview.month:%Y-%m}", plan=preview.plan, pending_plan=preview.pending_plan,
        total_requests=preview.requests(), included=preview.requests("included"), overage=preview.requests("overage"),
        base=amount(preview.minor("base")), overage_amount=amount(preview.minor("overage")),
        total_amount=amount(preview.total_amount_minor), amount_minor=preview.total_amount_minor,
        currency=preview.currency, status="calculating", lines=[LineAnswer.made(line) for line in preview.lines],
    )  # fmt: skip
