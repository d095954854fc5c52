"""Corrections are credit notes: numbered without gaps, never changed, and exact about what they take off and where."""

import asyncio
from datetime import date

import asyncpg
import pytest

from db import billing, credit_notes, invoices, previews
from db.credit_notes import credit
from db.errors import Conflict
from db.pool import Database
from db.types import SYSTEM, Money
from tests.money.owed import balance, owing, pay, write
from tests.money.shop import Shop, shop
from tests.money.test_closing import close, differences
from tests.servers import Urls

__all__ = ["shop"]


async def test_what_is_still_owed_is_not_owed_any_more(database: Database) -> None:
    founded, cycle_id = await owing(database, date(2030, 1, 1))
    assert await write(database, founded, cycle_id, 2000) == "pending"
    assert await write(database, founded, cycle_id, 3000) == "paid"
    with pytest.raises(Conflict, match="no more than its total"):
        await write(database, founded, cycle_id, 1)
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        notes = await credit_notes.of_invoice(tenant, cycle_id)
        cycle = await invoices.get(tenant, cycle_id)
    assert [(note.number, note.amount_minor, note.settled_minor) for note in notes] == [
        (1, 2000, 2000),
        (2, 3000, 3000),
    ]
    assert (cycle.total_amount_minor, cycle.credited_minor, cycle.outstanding.minor) == (5000, 5000, 0)
    assert await differences(database, founded) == []


async def test_no_rest_is_left_that_is_too_small_to_be_paid(database: Database) -> None:
    founded, cycle_id = await owing(database, date(2030, 1, 1))
    with pytest.raises(Conflict, match=r"less than can be paid \(0.49 USD\)"):
        await write(database, founded, cycle_id, 4951)
    assert await write(database, founded, cycle_id, 4950) == "pending"
    assert await write(database, founded, cycle_id, 50) == "paid"


async def test_what_was_paid_already_is_taken_off_the_next_invoices_as_a_line(database: Database, urls: Urls) -> None:
    founded, cycle_id = await owing(database, date(2030, 2, 1), "starter")
    await pay(database, founded, cycle_id, urls)
    assert await write(database, founded, cycle_id, 700) == "paid"
    assert await balance(database, founded) == 700
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        preview = await previews.charge(tenant, date(2030, 3, 1))
    following = await close(database, founded, date(2030, 3, 1))
    lines = [(line.kind, line.amount_minor) for line in following.lines]
    assert lines == [("base", 1000), ("credit", -700)]
    assert [(line.kind, line.amount_minor) for line in preview.lines] == lines, "the preview is the same function"
    assert (following.total_amount_minor, following.status, await balance(database, founded)) == (300, "pending", 0)
    assert await differences(database, founded) == []
    assert (await close(database, founded, date(2030, 4, 1))).total_amount_minor == 1000, "used once"


async def test_a_credit_larger_than_an_invoice_lasts_for_several_and_pays_them(database: Database, urls: Urls) -> None:
    founded, cycle_id = await owing(database, date(2030, 5, 1), "pro")
    await pay(database, founded, cycle_id, urls)
    await write(database, founded, cycle_id, 5000)
    owner = await asyncpg.connect(urls.superuser)
    await owner.execute(
        "update tenancy.organizations set plan = 'starter', updated_at = '2030-06-01Z' where organization_id = $1",
        founded.organization_id,
    )
    await owner.close()
    left = 5000
    for month in (date(2030, 6, 1), date(2030, 7, 1)):
        cycle = await close(database, founded, month)
        left -= 1000
        assert (cycle.total_amount_minor, cycle.status) == (0, "paid")
        assert await balance(database, founded) == left
    assert await differences(database, founded) == []


async def test_a_rest_too_small_to_be_paid_is_carried_as_ever(database: Database, urls: Urls) -> None:
    founded, cycle_id = await owing(database, date(2030, 8, 1), "starter")
    await pay(database, founded, cycle_id, urls)
    await write(database, founded, cycle_id, 980)
    cycle = await close(database, founded, date(2030, 9, 1))
    assert [(line.kind, line.amount_minor) for line in cycle.lines] == [
        ("base", 1000),
        ("credit", -980),
        ("carry", -20),
    ]
    after = await close(database, founded, date(2030, 10, 1))
    assert [(line.kind, line.amount_minor) for line in after.lines] == [("base", 1000), ("carry", 20)]
    assert await differences(database, founded) == []


async def test_a_void_invoice_gives_its_credit_back_and_a_parked_one_holds_it(database: Database, urls: Urls) -> None:
    founded, cycle_id = await owing(database, date(2030, 11, 1), "starter")
    await pay(database, founded, cycle_id, urls)
    await write(database, founded, cycle_id, 500)
    following = await close(database, founded, date(2030, 12, 1))
    owner = await asyncpg.connect(urls.superuser)
    await owner.execute("set session_replication_role = replica")
    await owner.execute("delete from billing.movements where billing_cycle_id = $1", following.id)
    await owner.execute(
        "update billing.billing_cycles set status = 'parked', number = null, issued_at = null, due_date = null"
        " where id = $1",
        following.id,
    )
    await owner.execute(
        "update billing.invoice_counters set last_number = 1 where organization_id = $1", founded.organization_id
    )
    await owner.close()
    assert await balance(database, founded) == 0
    assert await differences(database, founded) == []
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        await billing.void(tenant, following.id, "a loop of ours")
    assert await balance(database, founded) == 500
    assert await differences(database, founded) == []


async def test_a_refund_after_the_credit_is_owed_again(shop: Shop) -> None:
    """The customer has the credit on the next invoice: money given back as well is money that is owed."""
    customer = await shop.customer()
    reference = await shop.paid(customer)
    async with shop.worker.database.tenant(customer.founded.organization_id, SYSTEM) as tenant:
        await credit(tenant, customer.cycle_id, Money(2000), "an outage", shop.stack.clock.now())
    client = shop.worker.payments["stripe"]
    await client.refund(await client.fetch(reference), 2000, "operator")
    await shop.delivered()
    await shop.work()
    cycle = await shop.cycle(customer)
    assert (cycle.status, cycle.paid_minor, cycle.outstanding.minor) == ("pending", 3000, 2000)
    assert await shop.differences(customer) == []


async def test_notes_written_at_once_have_numbers_without_gaps_and_never_exceed_the_invoice(database: Database) -> None:
    founded, cycle_id = await owing(database, date(2031, 1, 1))

    async def one(number: int) -> bool:
        try:
            await write(database, founded, cycle_id, 700, key=f"{number}")
        except Conflict:
            return False
        return True

    written = await asyncio.gather(*(one(number) for number in range(12)))
    assert sum(written) == 7, "seven times 7.00 of 50.00"
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        notes = await credit_notes.of_invoice(tenant, cycle_id)
    assert [note.number for note in notes] == list(range(1, 8)), "a refused one leaves no gap"
    assert await differences(database, founded) == []


async def test_a_credit_note_cannot_be_changed_by_anybody(database: Database, urls: Urls) -> None:
    founded, cycle_id = await owing(database, date(2032, 1, 1))
    await write(database, founded, cycle_id, 100)
    owner = await asyncpg.connect(urls.superuser)
    for attack in (
        "update billing.credit_notes set amount_minor = 1 where organization_id = $1",
        "update billing.credit_notes set reason = 'another' where organization_id = $1",
        "delete from billing.credit_notes where organization_id = $1",
    ):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await owner.execute(attack, founded.organization_id)
        assert refused.value.sqlstate == "BIL01", attack
    await owner.close()
