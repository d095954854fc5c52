"""What nobody could pay before there were remainders goes to the next invoice with the update."""

from datetime import date

import psycopg

from db import migrate
from db.pool import Database
from tests.money.owed import give_back, owing, pay
from tests.money.test_closing import all_cycles, close, differences
from tests.servers import Urls

REFUNDED = """
select set_config('app.current_org_id', '{0}', true);
update billing.payments set refunded_minor = 30 where organization_id = '{0}';
select billing.settle('{0}', '{1}', '2033-02-03Z')
"""


async def test_a_rest_from_before_is_asked_for_by_the_next_invoice(database: Database, urls: Urls) -> None:
    founded, cycle_id = await owing(database, date(2033, 1, 1), "starter")
    await pay(database, founded, cycle_id, urls)
    names = [each.id for each in migrate.status(urls.migrator)]
    migrate.down(urls.migrator, len(names) - names.index("0101_remainders"))
    with psycopg.connect(urls.superuser) as owner:
        owner.execute(REFUNDED.format(founded.organization_id, cycle_id).encode())
        (status,) = owner.execute("select status from billing.billing_cycles where id = %s", [cycle_id]).fetchone()  # type: ignore[misc]
    assert status == "pending", "owed, and too small for any provider"
    migrate.up(urls.migrator)
    (cycle,) = await all_cycles(database, founded)
    assert (cycle.status, cycle.remainder_minor, cycle.outstanding.minor) == ("paid", 30, 0)
    assert await differences(database, founded) == []
    following = await close(database, founded, date(2033, 2, 1))
    assert [(line.kind, line.amount_minor) for line in following.lines] == [("base", 1000), ("remainder", 30)]
    await give_back(database, founded, cycle_id, 60)
    assert await differences(database, founded) == []
