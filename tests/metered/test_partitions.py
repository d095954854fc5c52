"""Months have their place before they begin."""

from datetime import UTC, date, datetime

import psycopg
import pytest

from db import maintenance
from db.pool import Database
from tests.metered.counting import rows, worker
from tests.servers import Urls

__all__ = ["worker"]
PARTITIONS = """
select relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where nspname = 'usage' and relispartition and relkind = 'r' and relname ~ %s order by relname
"""


async def test_three_months_are_made_ahead_also_across_the_year_and_once(worker: Database, urls: Urls) -> None:
    year = datetime.now(UTC).year + 1
    for _ in range(2):
        await maintenance.create_usage_partitions(worker, date(year, 11, 30))
    made = [row[0][-7:] for row in rows(urls, PARTITIONS, f"_({year}_1[12]|{year + 1}_0[1-9])$")]
    assert made == [f"{year}_11", f"{year}_12", f"{year + 1}_01", f"{year + 1}_02"]
    assert rows(urls, "select rule, object, detail from ops.findings") == []


@pytest.mark.parametrize("door", ["usage", "audit"])
def test_half_a_month_is_no_place(urls: Urls, door: str) -> None:
    with psycopg.connect(urls.worker) as conn, pytest.raises(psycopg.errors.InvalidParameterValue):
        conn.execute(f"select {door}.create_partition('2027-11-15')".encode())
