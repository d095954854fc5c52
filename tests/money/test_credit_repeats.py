"""Whoever repeats a credit writes nothing: twice, at once, and after a kill on either side of the commit."""

import asyncio
import subprocess
import sys
from datetime import date

import asyncpg
import psycopg
import pytest

from db import credit_notes
from db.errors import Conflict
from db.pool import Database
from db.types import SYSTEM, CycleId
from settings import ROOT
from tests.founding import Founded
from tests.money.owed import owing, write
from tests.money.shop import Customer, Shop, shop
from tests.money.test_closing import differences
from tests.money.test_operators import environment, mts
from tests.servers import Urls

__all__ = ["shop"]

BEFORE_KEYS = "update billing.credit_notes set key = null where organization_id = $1"
BESIDE_THE_FUNCTION = """
insert into billing.credit_notes
select organization_id, gen_random_uuid(), billing_cycle_id, 2, amount_minor, settled_minor, balance_minor, currency,
       reason, organization_name, organization_email, null, null, null, issued_at, now(), key
from billing.credit_notes where organization_id = $1
"""


async def amounts(database: Database, founded: Founded, cycle_id: CycleId) -> list[int]:
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        return [note.amount_minor for note in await credit_notes.of_invoice(tenant, cycle_id)]


async def test_the_same_amount_for_the_same_reason_is_credited_once_without_a_key_of_its_own(
    database: Database,
) -> None:
    founded, cycle_id = await owing(database, date(2030, 1, 1))
    await write(database, founded, cycle_id, 700)
    for reason in ("an outage", "  An  outage "):
        with pytest.raises(Conflict, match=r"CN-2030-000001 of 2 January 2030 .* 7\.00 USD already") as twin:
            await write(database, founded, cycle_id, 700, reason)
        assert twin.value.code == "ALREADY_CREDITED"
    await write(database, founded, cycle_id, 700, "another outage")
    await write(database, founded, cycle_id, 800)
    await write(database, founded, cycle_id, 700, key="second")
    with pytest.raises(Conflict, match=r"CN-2030-000004 .* 7\.00 USD already"):
        await write(database, founded, cycle_id, 900, "the key decides", key=" second ")
    assert await amounts(database, founded, cycle_id) == [700, 700, 800, 700]
    assert await differences(database, founded) == []


async def test_another_invoice_is_credited_with_the_same(database: Database) -> None:
    for month in (date(2030, 2, 1), date(2030, 3, 1)):
        founded, cycle_id = await owing(database, month)
        await write(database, founded, cycle_id, 700)
        assert await amounts(database, founded, cycle_id) == [700]


async def test_of_many_at_once_one_is_written(database: Database) -> None:
    founded, cycle_id = await owing(database, date(2030, 4, 1))
    outcomes = await asyncio.gather(
        *(write(database, founded, cycle_id, 700) for _ in range(12)), return_exceptions=True
    )
    refused = [each for each in outcomes if isinstance(each, Conflict) and each.code == "ALREADY_CREDITED"]
    assert (len(refused), outcomes.count("pending")) == (11, 1), outcomes
    assert await amounts(database, founded, cycle_id) == [700]
    assert await differences(database, founded) == []


async def test_what_was_written_before_there_were_keys_is_known_by_its_words(database: Database, urls: Urls) -> None:
    founded, cycle_id = await owing(database, date(2030, 5, 1))
    await write(database, founded, cycle_id, 700)
    owner = await asyncpg.connect(urls.superuser)
    await owner.execute("set session_replication_role = replica")
    await owner.execute(BEFORE_KEYS, founded.organization_id)
    await owner.close()
    with pytest.raises(Conflict, match="CN-2030-000001"):
        await write(database, founded, cycle_id, 700)


async def test_nobody_writes_a_second_note_of_a_key_beside_the_function(database: Database, urls: Urls) -> None:
    founded, cycle_id = await owing(database, date(2030, 6, 1))
    await write(database, founded, cycle_id, 700)
    owner = await asyncpg.connect(urls.superuser)
    with pytest.raises(asyncpg.UniqueViolationError, match="credit_notes_key_key"):
        await owner.execute(BESIDE_THE_FUNCTION, founded.organization_id)
    await owner.close()


async def test_a_repeated_command_says_what_was_written_and_writes_nothing(shop: Shop) -> None:
    customer = await shop.customer("pro")
    command = ("credit", str(customer.cycle_id), "12.50", "--reason", "an outage")
    for key, number in (((), "000001"), (("--key", "second"), "000002")):
        first, again = mts(shop, *command, *key), mts(shop, *command, *key)
        assert (first.returncode, again.returncode) == (0, 1), first.stderr
        assert again.stderr.strip().endswith("to credit it once more, give another key (--key KEY).")
        for told in (first.stdout, again.stderr):
            assert f"-{number}" in told, told
    assert mts(shop, *command, "--key", "two words").returncode == 2
    await shop.work()
    mails = [mail for mail in shop.stack.mails(customer.email) if "Credit note CN-" in mail.subject]
    assert len(mails) == 2, "one for each note"
    assert (await shop.cycle(customer)).credited_minor == 2500
    assert await shop.differences(customer) == []


async def test_a_command_killed_on_either_side_of_its_commit_is_repeated_without_harm(shop: Shop) -> None:
    customer = await shop.customer("pro")
    with psycopg.connect(shop.stack.urls.superuser) as holder:
        holder.execute("select from billing.billing_cycles where id = %s for update", [customer.cycle_id])
        before = start(shop, customer)
        await until(shop, "select 1 from pg_stat_activity where wait_event_type = 'Lock' and usename = 'app_worker'")
        before.kill()
        before.wait()
    await until(shop, "select 1 where not exists (select from pg_stat_activity where wait_event_type = 'Lock')")
    assert notes(shop, customer) == []
    after = start(shop, customer)
    await until(shop, "select 1 from billing.credit_notes where organization_id = %s", customer.founded.organization_id)
    after.kill()
    after.wait()
    again = mts(shop, *words(customer))
    assert (again.returncode, "000001 of" in again.stderr) == (1, True), again.stderr
    assert notes(shop, customer) == [(1250,)]
    await shop.work()
    mails = [mail for mail in shop.stack.mails(customer.email) if "Credit note CN-" in mail.subject]
    assert len(mails) == 1, "it was promised by the transaction that wrote the note"
    assert await shop.differences(customer) == []


def words(customer: Customer) -> tuple[str, ...]:
    return ("credit", str(customer.cycle_id), "12.50", "--reason", "an outage")


def start(shop: Shop, customer: Customer) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "cli", "invoices", *words(customer)]
    return subprocess.Popen(command, cwd=ROOT, env=environment(shop), stdout=subprocess.DEVNULL)


def notes(shop: Shop, customer: Customer) -> list[tuple[int]]:
    statement = "select amount_minor from billing.credit_notes where organization_id = %s"
    return shop.stack.rows(statement, customer.founded.organization_id)


async def until(shop: Shop, statement: str, *arguments: object) -> None:
    """Ask as quickly as one can until there is a row."""
    for _ in range(20_000):
        if await asyncio.to_thread(shop.stack.rows, statement, *arguments):
            return
    raise AssertionError(statement)
