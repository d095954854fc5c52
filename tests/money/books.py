"""An organization whose history a test writes freely, inside one transaction that is rolled back."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from tests.money.oracle import History, Made, Price


class Books:
    """One organization seen by the migrator, who is bound by no policy."""

    def __init__(self, conn: psycopg.Connection[Any], since: datetime, plan: str = "free") -> None:
        self.conn = conn
        self.organization_id = uuid4()
        self.segments: list[tuple[datetime, str]] = [(since, plan)]
        self.prices: dict[str, Price] = {}
        self.made: list[Made] = []
        self._seat, self._key = uuid4(), uuid4()
        self._found(since, plan)

    def history(self, defaults: dict[str, Price]) -> History:
        """What the oracle needs to know."""
        return History(self.segments, self.made, {**defaults, **self.prices})

    def agree(self, plan: str, price: Price) -> None:
        """An own price from the year 2000 on."""
        self.prices[plan] = price
        self.execute(
            "insert into billing.agreed_prices values (%s, %s, '2000-01-01', %s, %s, %s, %s)",
            self.organization_id, plan, price.base, price.included, price.overage, price.per,
        )  # fmt: skip

    def move(self, plan: str, at: datetime) -> None:
        """Another plan at once."""
        self.segments.append((at, plan))
        self.execute(
            "update tenancy.organizations set plan = %s, pending_plan = null, updated_at = %s"
            " where organization_id = %s",
            plan, at, self.organization_id,
        )  # fmt: skip

    def plan_next(self, plan: str | None, at: datetime) -> None:
        """Another plan with the next month, or None: the pending one taken back."""
        self.execute(
            "update tenancy.organizations set pending_plan = %s, updated_at = %s where organization_id = %s",
            plan, at, self.organization_id,
        )  # fmt: skip

    def use(self, at: datetime, count: int = 1, *, billed: date | None = None, billable: bool = True) -> None:
        """Make requests at one moment; `billed` is the month they are booked in when it is not their own."""
        if billable:
            self.made.append(Made(at, count))
        plan = History(self.segments, [], {}).plan_at(at) or "free"
        self.execute(
            "insert into usage.usage_records (organization_id, id, billed_month, api_key_id, endpoint, method,"
            " status_code, duration_us, plan, is_billable, occurred_at)"
            " select %s, gen_random_uuid(), %s, %s, '/x', 'POST', %s, 1, %s, %s, %s from generate_series(1, %s)",
            self.organization_id, billed or at.astimezone(UTC).date().replace(day=1), self._key,
            200 if billable else 500, plan, billable, at, count,
        )  # fmt: skip

    def charge(self, month: date) -> list[dict[str, Any]]:
        """The lines of a month."""
        return self.rows("select * from billing.charge(%s, %s) order by position", self.organization_id, month)

    def total(self, month: date) -> int:
        """What a month costs."""
        return sum(line["amount_minor"] for line in self.charge(month))

    def close(self, month: date) -> UUID:
        """Close a month for everybody and write the invoice."""
        cycle, at = uuid4(), datetime.combine(month, datetime.min.time(), UTC)
        self.execute("select usage.close_month(%s, %s)", month, at)
        self.execute("select billing.close_cycle(%s, %s, %s, %s, 14)", self.organization_id, month, cycle, at)
        return cycle

    def cycle(self, cycle: UUID) -> dict[str, Any]:
        """An invoice."""
        return self.rows("select * from billing.billing_cycles where id = %s", cycle)[0]

    def lines(self, cycle: UUID) -> list[dict[str, Any]]:
        """The lines of an invoice."""
        return self.rows(
            "select * from billing.billing_cycle_lines where billing_cycle_id = %s order by position", cycle
        )

    def execute(self, statement: str, *arguments: Any) -> None:
        """Run one statement."""
        self.conn.execute(statement.encode(), arguments)

    def rows(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        """Read rows."""
        with self.conn.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement.encode(), arguments).fetchall()

    def _found(self, since: datetime, plan: str) -> None:
        self.execute("select set_config('app.current_org_id', %s, true)", str(self.organization_id))
        self.execute(
            "insert into tenancy.organizations (organization_id, name, email, plan, created_at, updated_at)"
            " values (%s, 'Acme', 'a@example.com', %s, %s, %s)",
            self.organization_id, plan, since, since,
        )  # fmt: skip
        self.execute(
            "insert into tenancy.users (organization_id, id, account_id, email, role)"
            " values (%s, %s, %s, 'a@example.com', 'owner')",
            self.organization_id, self._seat, uuid4(),
        )  # fmt: skip
        self.execute(
            "insert into tenancy.api_keys (organization_id, id, name, first4, last4, scopes, created_by)"
            " values (%s, %s, 'k', 'aaaa', 'zzzz', '{}', %s)",
            self.organization_id, self._key, self._seat,
        )  # fmt: skip
