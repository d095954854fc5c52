"""What was written off before there were credit notes has its note after the update, and the books agree as before."""

from datetime import UTC, date, datetime

import psycopg

from db import credit_notes, migrate
from db.pool import Database
from db.types import SYSTEM
from tests.money.owed import owing
from tests.money.test_closing import close, differences
from tests.servers import Urls

WRITTEN_OFF = """
select set_config('app.current_org_id', '{0}', true);
select billing.credit('{0}', '{1}', 1200, 'an outage', '2033-02-03Z');
select billing.credit('{0}', '{1}', 300, 'another outage (by ada)', '2033-02-04Z')
"""


async def test_a_credit_from_before_gets_its_note(database: Database, urls: Urls) -> None:
    founded, cycle_id = await owing(database, date(2033, 1, 1))
    names = [each.id for each in migrate.status(urls.migrator)]
    migrate.down(urls.migrator, len(names) - names.index("0096_credit_notes"))
    with psycopg.connect(urls.superuser) as owner:
        owner.execute(WRITTEN_OFF.format(founded.organization_id, cycle_id).encode())
    migrate.up(urls.migrator)
    async with database.tenant(founded.organization_id, SYSTEM, read_only=True) as tenant:
        notes = await credit_notes.of_invoice(tenant, cycle_id)
    assert [(note.number_text, note.settled_minor, note.balance_minor, note.reason) for note in notes] == [
        ("CN-2033-000001", 1200, 0, "another outage"), ("CN-2033-000002", 300, 0, "another outage"),
    ]  # fmt: skip
    assert notes[0].issued_at == datetime(2033, 2, 3, tzinfo=UTC)
    assert await differences(database, founded) == []
    assert (await close(database, founded, date(2033, 2, 1))).total_amount_minor == 5000
    assert await differences(database, founded) == []
