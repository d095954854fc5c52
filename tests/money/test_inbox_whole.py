"""An event and its job are stored together, or the provider is told to send it again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.money.shop import Shop, shop
from tests.money.test_webhooks import post_paystack, post_stripe, stored, stripe_event

__all__ = ["shop"]

REFUSE = """
create function public.refuse() returns trigger language plpgsql as $$ begin raise exception 'the disk is full'; end $$;
create trigger refuse before insert on {} for each row execute function public.refuse()
"""
TABLES = ("billing.payment_events", "jobs.procrastinate_jobs")


@contextmanager
def refusing(shop: Shop, table: str) -> Iterator[None]:
    """Nothing can be written into a table."""
    with psycopg.connect(shop.stack.urls.superuser, autocommit=True) as owner:
        owner.execute(REFUSE.format(table).encode())
        yield
        owner.execute("drop function public.refuse() cascade")


@pytest.mark.parametrize("table", TABLES)
async def test_what_could_not_be_stored_whole_is_not_stored_and_comes_again(shop: Shop, table: str) -> None:
    event = stripe_event()
    charge: dict[str, Any] = {
        "event": "charge.success",
        "data": {"id": 4711, "reference": "of-nobody", "domain": "test"},
    }
    count = "select count(*) from billing.payment_events"
    before = shop.stack.rows(count)
    with refusing(shop, table):
        answers = [await post_stripe(shop, event), await post_paystack(shop, charge)]
        assert [answer.status_code for answer in answers] == [500, 500]
        assert "disk" not in answers[0].text
    assert shop.stack.rows(count) == before, "an event without its job would never be handled"
    for _ in range(2):
        assert (await post_stripe(shop, event)).status_code == 200
    await shop.work()
    assert stored(shop, event["id"]) == [("unknown", "ignored")]
