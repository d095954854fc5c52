"""Money that goes back: what came twice, refunds at the provider, lost disputes."""

import pytest

from db.credit_notes import credit
from db.payments import Attempt
from db.types import SYSTEM, Money
from jobs import settlement
from jobs.providers.payments import PaymentState
from tests.money.shop import Customer, Shop, shop

__all__ = ["shop"]

PROVIDERS = ("stripe", "paystack")
OUTCOMES = """
select status::text from jobs.procrastinate_jobs
where task_name = 'settlement.refund_surplus' and args ->> 'payment_id' = %s::text
"""
REFUNDS = """
select lock from jobs.procrastinate_jobs
where task_name = 'settlement.refund_surplus' and args ->> 'payment_id' = %s::text and status in ('todo', 'failed')
"""


async def test_money_on_a_page_that_could_not_be_closed_is_recorded_and_given_back(shop: Shop) -> None:
    customer = await shop.customer()
    first = (await customer.pay("paystack")).data  # Paystack cannot close a page
    await shop.paid(customer, "stripe")
    await shop.press(first["payment_url"])
    await shop.work()
    await shop.delivered()
    await shop.work()
    paystack, stripe = await shop.attempts(customer)
    assert (stripe.status, paystack.status) == ("succeeded", "refunded")
    assert (paystack.surplus_minor, paystack.refunded_minor) == (5000, 5000)
    cycle = await shop.cycle(customer)
    assert (cycle.status, cycle.paid_minor) == ("paid", 5000)
    assert any("back" in mail.subject.lower() for mail in shop.stack.mails(customer.email))
    assert await shop.differences(customer) == []


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_money_for_an_invoice_that_was_cancelled_meanwhile_is_given_back_and_the_owner_is_told(
    shop: Shop, provider: str
) -> None:
    customer = await shop.customer()
    page = (await customer.pay(provider)).data["payment_url"]
    async with shop.worker.database.tenant(customer.founded.organization_id, SYSTEM) as tenant:
        now = shop.stack.clock.now()
        _, status = await credit(tenant, customer.cycle_id, Money(5000), "cancelled by support", now)
        assert status == "paid"
    assert (await customer.pay(provider)).code == "CONFLICT", "nothing is owed any more"
    await shop.press(page)
    await shop.work()
    await shop.delivered()
    await shop.work()
    (attempt,) = await shop.attempts(customer)
    assert (attempt.status, attempt.surplus_minor, attempt.refunded_minor) == ("refunded", 5000, 5000)
    assert (await shop.cycle(customer)).paid_minor == 0
    assert [mail for mail in shop.stack.mails(customer.email) if "back" in mail.subject.lower()]
    assert await shop.differences(customer) == []


async def with_surplus(shop: Shop, provider: str) -> tuple[Customer, Attempt, PaymentState]:
    """Paid on an open page after the invoice was cancelled; the event waits for a worker."""
    customer = await shop.customer()
    page = (await customer.pay(provider)).data["payment_url"]
    async with shop.worker.database.tenant(customer.founded.organization_id, SYSTEM) as tenant:
        await credit(tenant, customer.cycle_id, Money(5000), "cancelled by support", shop.stack.clock.now())
    await shop.press(page)
    (attempt,) = await shop.attempts(customer)
    return customer, attempt, await shop.worker.payments[attempt.provider].fetch(attempt.reference or "")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_whoever_notices_the_same_surplus_gives_it_back_after_the_other(shop: Shop, provider: str) -> None:
    customer, attempt, state = await with_surplus(shop, provider)
    for _ in range(2):
        async with shop.worker.database.tenant(customer.founded.organization_id, SYSTEM) as tenant:
            assert await settlement.settle(shop.worker, tenant, attempt.id, state) == "applied"
    assert shop.stack.rows(REFUNDS, attempt.id) == [(f"{customer.founded.organization_id}:refund:{attempt.id}",)] * 2
    await shop.work()
    (attempt,) = await shop.attempts(customer)
    assert (attempt.status, attempt.surplus_minor, attempt.refunded_minor) == ("refunded", 5000, 5000)
    assert shop.stack.rows(REFUNDS, attempt.id) == []


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_surplus_that_somebody_gave_back_by_hand_is_done(shop: Shop, provider: str) -> None:
    customer, attempt, state = await with_surplus(shop, provider)
    async with shop.worker.database.tenant(customer.founded.organization_id, SYSTEM) as tenant:
        await settlement.settle(shop.worker, tenant, attempt.id, state)
    await shop.worker.payments[attempt.provider].refund(state, 5000, "by hand")
    await shop.work()
    (attempt,) = await shop.attempts(customer)
    assert (attempt.status, attempt.refunded_minor) == ("refunded", 5000)
    assert shop.stack.rows(REFUNDS, attempt.id) == []


async def test_a_surplus_that_a_bank_has_claimed_is_refused_seen_and_not_asked_for_for_ever(shop: Shop) -> None:
    customer, attempt, state = await with_surplus(shop, "stripe")
    await shop.control("stripe/dispute", payment_intent=state.provider_payment_id)
    await shop.delivered()
    await shop.work()  # which ends only when no job defers another
    jobs = shop.stack.rows(OUTCOMES, attempt.id)
    assert {status for (status,) in jobs} == {"failed"}
    assert len(jobs) <= 2, "one for each event that told of it"
    (attempt,) = await shop.attempts(customer)
    assert (attempt.surplus_minor, attempt.refunded_minor) == (5000, 0)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_refund_at_the_provider_opens_the_invoice_again(shop: Shop, provider: str) -> None:
    customer = await shop.customer()
    reference = await shop.paid(customer, provider)
    client = shop.worker.payments[provider]
    await client.refund(await client.fetch(reference), 2000, "operator")
    await shop.delivered()
    await shop.work()
    cycle = await shop.cycle(customer)
    assert (cycle.status, cycle.paid_minor, cycle.outstanding.minor) == ("pending", 3000, 2000)
    assert await shop.differences(customer) == []


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", ["lost", "won"])
async def test_a_dispute_is_money_given_back_only_when_lost_in_whatever_order_its_events_come(
    shop: Shop, provider: str, status: str
) -> None:
    customer = await shop.customer()
    reference = await shop.paid(customer, provider)
    intent = (await shop.worker.payments[provider].fetch(reference)).provider_payment_id
    claimed = {"payment_intent": intent} if provider == "stripe" else {"reference": reference}
    await shop.control(provider, hold_webhooks=True)
    dispute = await shop.control(f"{provider}/dispute", **claimed)
    await shop.control(f"{provider}/close-dispute", dispute=dispute["id"], status=status)
    await shop.control(provider, reorder=True, hold_webhooks=False)
    await shop.delivered()
    await shop.control(provider, reset=True)
    await shop.work()
    attempt = (await shop.attempts(customer))[0]
    assert attempt.charged_back_minor == (5000 if status == "lost" else 0)
    assert (await shop.cycle(customer)).status == ("pending" if status == "lost" else "paid")
    told = (await customer.browser.get(f"/billing/invoices/{customer.cycle_id}")).data["payments"][0]
    assert (told["charged_back"], told["refunded"]) == (50 if status == "lost" else 0, 0)
    printed = (await customer.browser.get(f"/billing/invoices/{customer.cycle_id}.html")).response.text
    assert ("$50.00 taken back by the bank" in printed) is (status == "lost")
    assert shop.stack.rows("select is_disputed from billing.payments where id = %s", attempt.id) == [(False,)]
    assert await shop.differences(customer) == []
