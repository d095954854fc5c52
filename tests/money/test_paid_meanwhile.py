"""Mail is asked for in one moment and sent in another: what was paid between the two is not reminded of."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from db import billing
from db.types import SYSTEM
from jobs import billing as closing
from jobs import dunning, email
from jobs.billing import last_month_over
from tests.founding import found
from tests.money.shop import Customer, Shop, shop
from tests.stack import BASE_URL

__all__ = ["shop"]

PAID = """
update billing.billing_cycles set status = 'paid', paid_at = now(), paid_minor = total_amount_minor where id = %s
"""


def subjects(shop: Shop, customer: Customer, word: str) -> list[str]:
    """The mails to the customer with a word in their subject."""
    return [mail.subject for mail in shop.stack.mails(customer.email) if word in mail.subject]


async def late(shop: Shop) -> Customer:
    """A customer whose invoice has been due for a day; its own mail is sent."""
    shop.stack.clock.turn(days=-15)
    try:
        customer = await shop.customer("pro")
    finally:
        shop.stack.clock.turn(days=15)
    await shop.work()
    customer.browser.token, _ = await shop.log_in(customer.founded)
    return customer


async def test_no_reminder_goes_out_for_what_was_paid_meanwhile(shop: Shop) -> None:
    customer, other = await late(shop), await late(shop)
    for each in (customer, other):
        await dunning.remind.run(shop.worker, each.founded.organization_id)
    assert shop.stack.rows("select 1 from messaging.emails where kind = 'overdue' and status = 'queued'") != []
    with psycopg.connect(shop.stack.urls.superuser) as owner:
        owner.execute(PAID, [customer.cycle_id])
    await shop.work()
    assert subjects(shop, customer, "verdue") == []
    assert len(subjects(shop, other, "verdue")) == 1


async def test_a_reminder_is_not_asked_for_when_the_money_came_first(shop: Shop) -> None:
    customer = await late(shop)
    await dunning.remind.run(shop.worker, customer.founded.organization_id)
    await shop.paid(customer)
    shop.stack.clock.turn(days=7)
    try:
        await dunning.remind.run(shop.worker, customer.founded.organization_id)
    finally:
        shop.stack.clock.turn(days=-7)
    steps = "select step from messaging.emails where organization_id = %s and kind = 'overdue'"
    assert shop.stack.rows(steps, customer.founded.organization_id) == [(1,)]


async def test_a_reminder_is_noted_once_and_for_an_overdue_invoice_alone(shop: Shop) -> None:
    customer = await late(shop)
    async with shop.worker.database.tenant(customer.founded.organization_id, SYSTEM) as tenant:
        assert not await billing.mark_reminded(tenant, customer.cycle_id, 1), "it is not overdue yet"
        await billing.mark_overdue(tenant, shop.stack.clock.now())
        noted = [await billing.mark_reminded(tenant, customer.cycle_id, days) for days in (1, 1, 7, 1, 7)]
    assert noted == [True, False, True, False, False]
    await shop.paid(customer)
    async with shop.worker.database.tenant(customer.founded.organization_id, SYSTEM) as tenant:
        assert not await billing.mark_reminded(tenant, customer.cycle_id, 14), "the money has come"


async def test_an_invoice_that_is_held_back_is_mailed_when_it_is_released_and_not_before(shop: Shop) -> None:
    month = last_month_over(shop.worker)
    before = (month - timedelta(days=1)).replace(day=1)
    founded = await found(shop.worker.database, "starter", datetime.combine(before, datetime.min.time(), UTC))
    with psycopg.connect(shop.stack.urls.superuser) as owner:
        owner.execute("set session_replication_role = replica")
        owner.execute(
            "insert into billing.agreed_prices values (%s, 'starter', %s, 200000, 1, 0, 1)",
            [founded.organization_id, month],
        )
    await closing.close_until(shop.worker, month)
    await closing.close_organization.run(shop.worker, founded.organization_id)
    await shop.work()
    _, address = await shop.log_in(founded)
    sent = [mail.subject for mail in shop.stack.mails(address)]
    assert [subject.split(":")[0][:7] for subject in sent] == ["Invoice"], "that of the month before alone"
    parked = "select id from billing.billing_cycles where organization_id = %s and status = 'parked'"
    ((cycle_id,),) = shop.stack.rows(parked, founded.organization_id)
    assert shop.stack.rows("select 1 from messaging.emails where subject_id = %s", cycle_id) == [], "nobody asked"
    async with shop.worker.database.tenant(founded.organization_id, SYSTEM) as tenant:
        await email.enqueue(tenant, "invoice", subject_id=cycle_id, recipient=address)
    await shop.work()
    assert len(shop.stack.mails(address)) == 1, "even if somebody asks for it"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:443"])
@pytest.mark.parametrize("provider", ["stripe", "paystack"])
async def test_a_payer_comes_back_to_our_address_whatever_the_request_said(
    shop: Shop, provider: str, host: str
) -> None:
    customer = await shop.customer("pro")
    body = {"billing_cycle_id": str(customer.cycle_id), "provider": provider}
    headers = {"Host": host, "X_Forwarded_Host": host}
    started = (await customer.browser.post("/billing/initiate-payment", body, **headers)).data
    answer = await shop.outside.post(started["payment_url"], data={"outcome": "pay"})
    assert answer.headers["location"].startswith(f"{BASE_URL}/invoices/{customer.cycle_id}?payment=done")
    assert host not in answer.headers["location"]
