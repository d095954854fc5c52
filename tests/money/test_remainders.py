"""What money that went back leaves to pay and is too small for a provider: the next invoice asks for it, once."""

import asyncio
from datetime import date

import asyncpg
import pytest
import structlog
from structlog.testing import capture_logs

from db import billing, previews
from db.pool import Database
from db.types import SYSTEM
from jobs import logs, settlement
from tests.founding import Founded
from tests.money.owed import balance, give_back, owing, pay, write
from tests.money.shop import Shop, shop
from tests.money.test_closing import all_cycles, close, differences
from tests.money.test_jobs import clock
from tests.money.test_suspension import sweep
from tests.servers import Urls

__all__ = ["clock", "shop"]

PROVIDERS = ("stripe", "paystack")
PARK = """
update billing.billing_cycles set status = 'parked', number = null, issued_at = null, due_date = null where id = $1
"""
ONE_MORE_LINE = """
insert into billing.billing_cycle_lines
select organization_id, id, 9, 'remainder', null, 'x', 1, 5, 1, 5 from billing.billing_cycles
"""


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_refund_that_leaves_less_than_can_be_paid_is_asked_for_by_the_next_invoice(
    shop: Shop, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await shop.customer()
    client = shop.worker.payments[provider]
    state = await client.fetch(await shop.paid(customer, provider))
    logs.configure("info")
    monkeypatch.setattr(settlement, "log", structlog.get_logger())  # the one there has kept its level
    with capture_logs() as lines:
        await client.refund(state, 49, f"operator-{customer.cycle_id}")
        await shop.delivered()
        await shop.work()
    logs.configure(shop.stack.settings.log_level)
    (told,) = [line for line in lines if line["event"] == "invoice.remainder"]
    assert (told["amount_minor"], told["billing_cycle_id"]) == (49, str(customer.cycle_id))
    cycle = await shop.cycle(customer)
    assert (cycle.status, cycle.paid_minor, cycle.remainder_minor, cycle.outstanding.minor) == ("paid", 4951, 49, 0)
    assert (await customer.pay(provider)).code == "CONFLICT", "nothing is owed here any more"
    seen = (await customer.browser.get(f"/billing/invoices/{customer.cycle_id}")).data
    assert (seen["remainder"], seen["outstanding"], seen["status"]) == (0.49, 0, "paid")
    printed = (await customer.browser.get(f"/billing/invoices/{customer.cycle_id}.html")).response.text
    assert "On the next invoice, too small to be paid" in printed
    upcoming = (await customer.browser.get("/billing/calculate")).data["lines"]
    assert [line["amount_minor"] for line in upcoming if line["kind"] == "remainder"] == [49]
    trail = shop.stack.rows(
        "select after ->> 'remainder_minor', actor_kind from audit.events where organization_id = %s"
        " and table_name = 'billing.billing_cycles' and after ? 'remainder_minor' and operation = 'update'",
        customer.founded.organization_id,
    )
    assert trail == [("49", "job")]
    assert await shop.differences(customer) == []


async def test_the_smallest_amount_that_can_be_paid_is_owed_and_paid(shop: Shop) -> None:
    customer = await shop.customer()
    client = shop.worker.payments["stripe"]
    await client.refund(await client.fetch(await shop.paid(customer)), 50, f"operator-{customer.cycle_id}")
    await shop.delivered()
    await shop.work()
    assert ((await shop.cycle(customer)).status, (await shop.cycle(customer)).remainder_minor) == ("pending", 0)
    await shop.paid(customer)
    assert ((await shop.cycle(customer)).status, (await shop.cycle(customer)).paid_minor) == ("paid", 5000)
    assert await shop.differences(customer) == []


@pytest.mark.usefixtures("clock")
async def test_nobody_is_reminded_or_suspended_for_what_cannot_be_paid(shop: Shop) -> None:
    customer = await shop.customer()
    client = shop.worker.payments["stripe"]
    await client.refund(await client.fetch(await shop.paid(customer)), 49, f"operator-{customer.cycle_id}")
    await shop.delivered()
    await shop.work()
    await sweep(shop, 60)
    assert (await shop.cycle(customer)).status == "paid"
    assert not [mail for mail in shop.stack.mails(customer.email) if "overdue" in mail.subject.lower()]


async def test_the_next_invoice_has_it_as_a_line_and_those_after_it_do_not(database: Database, urls: Urls) -> None:
    founded, cycle_id = await owing(database, date(2030, 1, 1), "starter")
    await pay(database, founded, cycle_id, urls)
    applied = await give_back(database, founded, cycle_id, 30)
    assert (applied.remainder, applied.is_newly_paid, applied.surplus) == (30, False, 0)
    assert (await give_back(database, founded, cycle_id, 30)).remainder == 0, "a repeated word changes nothing"
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        preview = await previews.charge(tenant, date(2030, 2, 1))
    following = await close(database, founded, date(2030, 2, 1))
    lines = [(line.kind, line.amount_minor) for line in following.lines]
    assert lines == [("base", 1000), ("remainder", 30)]
    assert [(line.kind, line.amount_minor) for line in preview.lines] == lines, "the preview is the same function"
    assert (following.total_amount_minor, following.status) == (1030, "pending")
    assert await differences(database, founded) == []
    assert (await close(database, founded, date(2030, 3, 1))).total_amount_minor == 1000, "asked for once"
    assert await differences(database, founded) == []


@pytest.mark.parametrize(
    ("year", "told"),
    [
        (2031, [(60, 0)]),
        (2032, [(30, 0), (60, 0)]),
        (2033, [(0, 30), (30, 30)]),
        (2034, [(30, 0), (60, 0), (30, 0)]),
    ],
)
async def test_however_money_goes_back_the_same_is_owed_in_all(
    database: Database, urls: Urls, year: int, told: list[tuple[int, int]]
) -> None:
    founded, cycle_id = await owing(database, date(year, 4, 1), "starter")
    await pay(database, founded, cycle_id, urls)
    for refunded, charged_back in told:
        await give_back(database, founded, cycle_id, refunded, charged_back)
    (cycle,) = await all_cycles(database, founded)
    assert cycle.outstanding.minor + cycle.remainder_minor == 60
    assert cycle.status == ("paid" if len(told) > 1 else "pending")
    following = await close(database, founded, date(year, 5, 1))
    assert following.total_amount_minor + cycle.outstanding.minor == 1060
    assert await differences(database, founded) == []


async def test_on_a_plan_without_a_price_it_waits_until_there_is_enough(database: Database, urls: Urls) -> None:
    founded, cycle_id = await owing(database, date(2035, 6, 1), "starter")
    await pay(database, founded, cycle_id, urls)
    await give_back(database, founded, cycle_id, 30)
    owner = await asyncpg.connect(urls.superuser)
    await owner.execute(
        "update tenancy.organizations set plan = 'free', updated_at = '2035-07-01Z' where organization_id = $1",
        founded.organization_id,
    )
    await owner.close()
    for month, kind in ((date(2035, 7, 1), "remainder"), (date(2035, 8, 1), "carry")):
        cycle = await close(database, founded, month)
        assert [(line.kind, line.amount_minor) for line in cycle.lines if line.amount_minor] == [
            (kind, 30), ("carry", -30),
        ]  # fmt: skip
        assert (cycle.total_amount_minor, cycle.status) == (0, "paid")
    assert await differences(database, founded) == []


async def test_a_credit_covers_it_like_any_other_line(database: Database, urls: Urls) -> None:
    founded, cycle_id = await owing(database, date(2035, 9, 1), "starter")
    await pay(database, founded, cycle_id, urls)
    await give_back(database, founded, cycle_id, 30)
    assert await write(database, founded, cycle_id, 1000) == "paid"
    assert await balance(database, founded) == 1000, "nothing was owed for the invoice itself"
    cycle = await close(database, founded, date(2035, 10, 1))
    assert [line.amount_minor for line in cycle.lines] == [1000, 30, -1000, -30]
    assert [line.kind for line in cycle.lines] == ["base", "remainder", "credit", "carry"]
    assert await differences(database, founded) == []


async def test_a_parked_invoice_holds_it_and_a_void_one_gives_it_to_the_next(database: Database, urls: Urls) -> None:
    founded, cycle_id = await owing(database, date(2035, 11, 1), "starter")
    await pay(database, founded, cycle_id, urls)
    await give_back(database, founded, cycle_id, 30)
    held = await close(database, founded, date(2035, 12, 1))
    owner = await asyncpg.connect(urls.superuser)
    await owner.execute("set session_replication_role = replica")
    await owner.execute("delete from billing.movements where billing_cycle_id = $1", held.id)
    await owner.execute(PARK, held.id)
    await owner.execute(
        "update billing.invoice_counters set last_number = 1 where organization_id = $1", founded.organization_id
    )
    await owner.close()
    following = await close(database, founded, date(2036, 1, 1))
    assert [line.kind for line in following.lines] == ["base"]
    assert await differences(database, founded) == []
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        await billing.void(tenant, held.id, "a loop of ours")
    following = await close(database, founded, date(2036, 2, 1))
    assert [(line.kind, line.amount_minor) for line in following.lines] == [("base", 1000), ("remainder", 30)]
    assert await differences(database, founded) == []


async def test_a_month_that_closes_while_money_goes_back_asks_for_it_now_or_next_time(
    database: Database, urls: Urls
) -> None:
    owing_ones = [await owing(database, date(2036, 3, 1), "starter") for _ in range(12)]
    for founded, cycle_id in owing_ones:
        await pay(database, founded, cycle_id, urls)
    await asyncio.gather(
        *(give_back(database, founded, cycle_id, 30) for founded, cycle_id in owing_ones),
        *(close(database, founded, date(2036, 4, 1)) for founded, _ in owing_ones),
    )
    for founded, _ in owing_ones:
        await close(database, founded, date(2036, 5, 1))
        _, *later = reversed(await all_cycles(database, founded))
        assert sorted(cycle.total_amount_minor for cycle in later) == [1000, 1030]
        assert await differences(database, founded) == []


async def left(database: Database, urls: Urls, month: date) -> Founded:
    """An organization with a remainder that no invoice has asked for yet."""
    founded, cycle_id = await owing(database, month, "starter")
    await pay(database, founded, cycle_id, urls)
    await give_back(database, founded, cycle_id, 30)
    return founded


async def test_it_is_never_taken_back(database: Database, urls: Urls) -> None:
    founded = await left(database, urls, date(2037, 1, 1))
    owner = await asyncpg.connect(urls.superuser)
    with pytest.raises(asyncpg.PostgresError) as refused:
        await owner.execute(
            "update billing.billing_cycles set remainder_minor = 0, status = 'pending', paid_at = null"
            " where organization_id = $1",
            founded.organization_id,
        )
    assert refused.value.sqlstate == "BIL02"
    await owner.close()


@pytest.mark.parametrize(
    ("year", "statement", "finding"),
    [
        (2038, "delete from billing.movements where kind = 'remainder' and", "remainder in the ledger"),
        (2039, f"{ONE_MORE_LINE} where total_amount_minor = 1030 and", "more remainder charged than left"),
        (2040, f"{ONE_MORE_LINE} where total_amount_minor = 1000 and", "lines against total"),
    ],
)
async def test_every_planted_difference_of_remainders_is_found(
    database: Database, urls: Urls, year: int, statement: str, finding: str
) -> None:
    founded = await left(database, urls, date(year, 2, 1))
    await close(database, founded, date(year, 3, 1))
    assert await differences(database, founded) == []
    owner = await asyncpg.connect(urls.superuser)
    await owner.execute("set session_replication_role = replica")
    await owner.execute(f"{statement} organization_id = $1", founded.organization_id)
    await owner.close()
    assert finding in {found.finding for found in await differences(database, founded)}
