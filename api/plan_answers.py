"""The shapes of answers about plans: what a change made, and what one would make."""

from typing import Self
from uuid import UUID

from api.billing_answers import LineAnswer
from api.fields import Amount, Answer, Timestamp, amount
from db.plans import PlanPreview
from db.types import Plan


class ChangedPlan(Answer):
    """The organization with its plan, and the one that waits for the next month."""

    id: UUID
    name: str
    plan: Plan
    pending_plan: Plan | None
    updated_at: Timestamp


class PlanAnswer(Answer):
    """The organization after a change of plan."""

    organization: ChangedPlan


class PlanPreviewAnswer(Answer):
    """This month's invoice as it would be after a change of plan now, and without it; nothing is changed."""

    plan: Plan
    starts_at: Timestamp
    period: str
    present_amount: Amount
    present_amount_minor: int
    total_amount: Amount
    amount_minor: int
    currency: str
    lines: list[LineAnswer]

    @classmethod
    def made(cls, found: PlanPreview) -> Self:
        """The answer for a domain result."""
        present = found.present.total_amount_minor
        return cls(
            plan=found.plan, starts_at=found.starts_at, period=f"{found.present.month:%Y-%m}",
            present_amount=amount(present), present_amount_minor=present,
            total_amount=amount(found.total_amount_minor), amount_minor=found.total_amount_minor,
            currency=found.present.currency, lines=[LineAnswer.made(line) for line in found.lines],
        )  # fmt: skip
