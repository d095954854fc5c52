"""When everything in `mts demo` happened: the months behind an organization, and clocks that stand in them."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from cli.demo_cast import Story
from db.billing import next_month
from db.types import Plan
from jobs.resources import Resources

REMINDED_AFTER_DAYS = (1, 7, 14)
SIGNED_UP_AT = time(9, 14, tzinfo=UTC)
DECIDED_AFTER = timedelta(minutes=27)
INVOICED_AFTER = timedelta(minutes=21)


@dataclass(frozen=True, slots=True)
class StandingClock:
    """A clock that shows one moment."""

    at: datetime

    def now(self) -> datetime:
        """That moment."""
        return self.at


@dataclass(frozen=True, slots=True)
class Calendar:
    """The months of a story that ends `now`: the first days of the past ones, oldest first."""

    story: Story
    months: tuple[date, ...]
    now: datetime

    @classmethod
    def ending(cls, story: Story, last_closed: date, now: datetime) -> "Calendar":
        """The story whose last past month is `last_closed`."""
        months = [last_closed]
        while len(months) < len(story.months):
            months.insert(0, (months[0] - timedelta(days=1)).replace(day=1))
        return cls(story, tuple(months), now)

    @classmethod
    def since(cls, story: Story, founded: datetime, now: datetime) -> "Calendar":
        """The story of an organization that was founded then."""
        months = [founded.astimezone(UTC).date().replace(day=1)]
        while len(months) < len(story.months):
            months.append(next_month(months[-1]))
        return cls(story, tuple(months), now)

    @property
    def founded(self) -> datetime:
        """When the organization signed up."""
        return self.day(*min(self.story.upgrades))

    def day(self, number: int, day: int) -> datetime:
        """A working moment on a day of the month with this number."""
        return datetime.combine(self.months[number].replace(day=day), SIGNED_UP_AT)

    def segments(self) -> list[tuple[datetime, Plan]]:
        """From when on which plan was in force; before the first it was free."""
        return [(self.day(*when) + DECIDED_AFTER, plan) for when, plan in sorted(self.story.upgrades.items())]

    def open_months(self) -> list[date]:
        """The months after the past ones, up to now."""
        months, month = [], next_month(self.months[-1])
        while month <= self.now.date():
            months.append(month)
            month = next_month(month)
        return months

    def invoiced(self, month: date) -> datetime:
        """When the invoice of a month was written; now for one that was closed before its end."""
        return min(self.now, datetime.combine(next_month(month), time(tzinfo=UTC)) + INVOICED_AFTER)

    def after(self, moment: datetime, days: float) -> datetime:
        """So many days later, but not in the future."""
        return min(self.now, moment + timedelta(days=days))


def standing(resources: Resources, at: datetime, due_days: int | None = None) -> Resources:
    """The same resources in a process whose clock shows `at`, and whose invoices are due after `due_days`."""
    settings = resources.settings
    if due_days is not None:
        settings = settings.model_copy(update={"invoice_due_days": due_days})
    return replace(resources, clock=StandingClock(at), settings=settings)
