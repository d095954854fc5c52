"""The first month that an installation closes costs no more for its last organization than for its first."""

from datetime import UTC, date, datetime

import asyncpg

from db import billing
from db.pool import Database
from db.types import SYSTEM, new_id
from tests.founding import found
from tests.servers import Urls

MONTH = date(2027, 1, 1)
READ_WHOLE = """
select relname from pg_stat_xact_user_tables
where schemaname = 'billing' and relname like 'billing_cycle%' and seq_scan > 0
"""


async def test_a_close_planned_while_there_were_no_invoices_does_not_read_all_of_them(
    database: Database, urls: Urls
) -> None:
    now = datetime(2027, 2, 1, 1, tzinfo=UTC)
    founded = await found(database, "starter", datetime(2027, 1, 1, tzinfo=UTC))
    owner = await asyncpg.connect(urls.superuser)
    await owner.execute("vacuum analyze")  # from here on the planner knows that the tables are empty
    await owner.close()
    async with database.resolver() as conn:
        await billing.close_month(conn, MONTH, now)
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        status = await billing.queries.close_cycle(
            tenant.conn, organization_id=founded.organization_id, month=MONTH, id=new_id(), now=now, due_days=14,
            seller_name=None, seller_address=None, seller_tax_number=None,
        )  # fmt: skip
        assert status == "pending"
        assert [row["relname"] for row in await tenant.conn.fetch(READ_WHOLE)] == []
