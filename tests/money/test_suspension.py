"""Who owes too long: API keys are refused by every process, people can log in, see why and pay, and keys work again."""

import pytest

from api.pages import cookies
from jobs import dunning
from tests.founding import new_key
from tests.money.shop import Customer, Shop, shop
from tests.money.test_jobs import clock
from tests.networks import new_network
from tests.pages.surfing import Surfer

__all__ = ["clock", "shop"]
pytestmark = pytest.mark.usefixtures("clock")


async def sweep(shop: Shop, days: int) -> None:
    """Time goes on, and the hourly job runs."""
    shop.stack.clock.turn(days=days)
    await dunning.sweep.run(shop.worker, 0)
    await shop.work()


async def log_in_again(shop: Shop, customer: Customer) -> None:
    """The session of weeks ago has ended."""
    customer.browser.token, _ = await shop.log_in(customer.founded)


async def with_key(shop: Shop) -> tuple[Customer, str]:
    """A customer who uses a key and whose invoice was issued 44 days ago: the provider's own clock cannot be turned."""
    shop.stack.clock.turn(days=-44)
    customer = await shop.customer("pro")
    made = await new_key(shop.worker.database, customer.founded)
    return customer, made.secret


def audited(shop: Shop, customer: Customer) -> list[tuple[bool, str]]:
    """What the trail says of the organization's suspension: whether since then, and by whom."""
    return [
        (after is not None, actor)
        for after, actor in shop.stack.rows(
            "select after ->> 'keys_suspended_at', actor_kind from audit.events where organization_id = %s"
            " and table_name = 'tenancy.organizations' and after ? 'keys_suspended_at' and operation = 'update'"
            " order by position",
            customer.founded.organization_id,
        )
    ]


async def test_keys_are_refused_everywhere_from_the_setting_s_day_on_and_work_again_once_paid(shop: Shop) -> None:
    customer, key = await with_key(shop)
    async with shop.stack.second_process() as second:
        doors = [shop.stack.visitor(), shop.stack.visitor(second)]

        async def codes() -> list[str]:
            return [(await door.get("/messages", X_API_Key=key)).code for door in doors]

        await sweep(shop, 43)  # issued, 14 days until due, 29 overdue
        assert await codes() == ["OK", "OK"]
        await sweep(shop, 1)
        assert await codes() == ["ORGANIZATION_SUSPENDED"] * 2
        await log_in_again(shop, customer)
        stats = (await customer.browser.get("/dashboard/stats")).data
        assert stats["organization"]["keys_suspended_at"] is not None
        assert (await customer.browser.get("/billing/history")).data["invoices"][0]["status"] == "overdue"
        await shop.paid(customer)
        assert await codes() == ["OK", "OK"]
    assert (await shop.cycle(customer)).status == "paid"
    subjects = [mail.subject.split(":")[0] for mail in shop.stack.mails(customer.email)]
    assert (subjects.count("API keys suspended"), subjects.count("Your API keys work again")) == (1, 1)
    assert audited(shop, customer) == [(True, "job"), (False, "job")]
    assert (await customer.browser.get("/dashboard/stats")).data["organization"]["keys_suspended_at"] is None


async def test_nobody_is_suspended_while_a_payment_is_pending(shop: Shop) -> None:
    customer, key = await with_key(shop)
    shop.stack.clock.turn(days=44)
    await log_in_again(shop, customer)
    (await customer.pay()).data  # noqa: B018 - the page is open now
    await sweep(shop, 0)
    assert audited(shop, customer) == []
    assert (await shop.stack.visitor().get("/messages", X_API_Key=key)).code == "OK"
    shop.stack.rows("update billing.payments set status = 'expired' where status = 'open' returning 1")
    await sweep(shop, 0)
    assert audited(shop, customer) == [(True, "job")]


async def test_a_repeated_sweep_changes_nothing_and_an_operator_s_longer_patience_counts(shop: Shop) -> None:
    customer, _ = await with_key(shop)
    for _ in range(3):
        await sweep(shop, 50)
    assert audited(shop, customer) == [(True, "job")]
    patient = shop.worker.settings.model_copy(update={"suspend_after_days": 1000})
    before, shop.worker.settings = shop.worker.settings, patient
    try:
        await dunning.remind.run(shop.worker, customer.founded.organization_id)
    finally:
        shop.worker.settings = before
    assert audited(shop, customer) == [(True, "job"), (False, "job")]


async def test_a_suspended_organization_may_still_do_all_but_use_its_keys(shop: Shop) -> None:
    customer, key = await with_key(shop)
    await sweep(shop, 45)
    await log_in_again(shop, customer)
    assert (await customer.browser.get("/auth/me")).code == "OK"
    assert (await customer.browser.get("/keys")).code == "OK"
    refusal = await shop.stack.visitor().get("/messages", X_API_Key=key)
    assert (refusal.status, refusal.code) == (403, "ORGANIZATION_SUSPENDED")
    assert refusal.error["details"] == {"reason": "overdue_invoice"}


async def test_every_page_says_why_keys_are_refused_and_leads_to_the_invoice(shop: Shop) -> None:
    customer, _ = await with_key(shop)
    await sweep(shop, 45)
    await log_in_again(shop, customer)
    seen = [Surfer(shop.stack.http, new_network(), {cookies.SESSION: customer.browser.token or ""}) for _ in range(2)]
    page = await seen[0].get("/dashboard")
    assert (page.status, "Your API keys are suspended" in page.text, "/billing" in page.links) == (200, True, True)
    assert f"/invoices/{customer.cycle_id}" in (await seen[1].get("/billing")).links


async def test_the_billing_page_shows_what_a_change_would_cost(shop: Shop) -> None:
    customer = await shop.customer("starter")
    surfer = Surfer(shop.stack.http, new_network(), {cookies.SESSION: customer.browser.token or ""})
    page = await surfer.get("/billing")
    preview = (await customer.browser.get("/billing/upgrade-preview?plan=pro")).data
    assert f"would come to ${preview['total_amount']:.2f} instead of ${preview['present_amount']:.2f}" in page.text
    assert "This month’s invoice stays at" in page.text, "a downgrade waits"
