"""Fourteen months of many organizations: plans, usage, late usage, payments, refunds, credits, crashes; all agrees."""

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from db.billing import next_month
from db.pool import Database
from tests.money.compared import compare
from tests.money.corrections import correct
from tests.money.world import World, populate
from tests.servers import Urls

ORGANIZATIONS, MONTHS, FIRST = 20, 14, date(2031, 1, 1)  # the second seed ends in the leap February of 2036


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_at_the_end_every_figure_agrees(database: Database, urls: Urls, seed: int) -> None:
    first = FIRST.replace(year=FIRST.year + 2 * seed)
    world = World(database, random.Random(seed))
    await populate(world, urls, first, ORGANIZATIONS)
    month = first
    for _ in range(MONTHS):
        await world.live(month)
        await world.close(month)
        await world.late(month)
        month = next_month(month)
        now = datetime.combine(month, datetime.min.time(), UTC)
        await world.pay(now + timedelta(days=3))
        await correct(world, now + timedelta(days=4))
    await world.close(month)
    await world.each(lambda life: compare(world, life, first))
