"""Who was left out when a month closed is found: by the list begun anew, or by the daily round."""

from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import sql

from jobs import billing as closing
from tests.money.shop import Shop, shop
from tests.money.test_jobs import clock, cycles, founded, turn_to

__all__ = ["clock", "shop"]

TROUBLE = sql.SQL("""
create or replace function public.trouble() returns trigger language plpgsql
as $$ begin raise exception 'trouble'; end $$;
create trigger trouble before insert on jobs.procrastinate_jobs
    for each row when (new.args ->> 'organization_id' = {}) execute function public.trouble()
""")


async def test_an_organization_missed_by_the_list_is_found_the_next_day(shop: Shop, clock: Any) -> None:
    turn_to(shop, datetime(2029, 6, 18, tzinfo=UTC))
    await closing.close_until(shop.worker, date(2029, 5, 1))
    missed = await founded(shop, "pro", datetime(2029, 5, 1, tzinfo=UTC))
    await closing.catch_up.run(shop.worker, 0)
    await shop.work()
    assert [cycle.month for cycle in await cycles(shop, missed.organization_id)] == [date(2029, 5, 1)]


async def test_one_organization_in_trouble_does_not_keep_the_others_from_being_caught_up_and_is_tried_again(
    shop: Shop, clock: Any
) -> None:
    turn_to(shop, datetime(2029, 6, 18, tzinfo=UTC))
    await closing.close_until(shop.worker, date(2029, 5, 1))
    troubled, other = [await founded(shop, "pro", datetime(2029, 5, 1, tzinfo=UTC)) for _ in range(2)]
    with psycopg.connect(shop.stack.urls.superuser, autocommit=True) as owner:
        owner.execute(TROUBLE.format(sql.Literal(str(troubled.organization_id))))
        try:
            with pytest.raises(asyncpg.RaiseError, match="trouble"):
                await closing.catch_up.run(shop.worker, 0)
        finally:
            owner.execute("drop trigger trouble on jobs.procrastinate_jobs")
    await shop.work()
    assert len(await cycles(shop, other.organization_id)) == 1
    assert await cycles(shop, troubled.organization_id) == []
    await closing.catch_up.run(shop.worker, 0)  # as the job's retry does
    await shop.work()
    assert len(await cycles(shop, troubled.organization_id)) == 1


async def test_a_list_that_was_cut_off_is_begun_again(shop: Shop, clock: Any) -> None:
    turn_to(shop, datetime(2029, 7, 2, tzinfo=UTC))
    one = await founded(shop, "pro", datetime(2029, 6, 1, tzinfo=UTC))
    await closing.close_until(shop.worker, date(2029, 6, 1))  # and killed before any job was queued
    await closing.close_months.run(shop.worker, 0)
    await shop.work()
    assert len(await cycles(shop, one.organization_id)) == 1
    assert shop.stack.rows("select 1 from usage.closed_months where listed_at is null") == []
