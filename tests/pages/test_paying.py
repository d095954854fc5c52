"""From the invoice's page to the provider's and back: what is paid shows as soon as the provider's word arrives."""

import pytest
from playwright.async_api import BrowserContext, Route, expect

from tests.money.shop import Customer, Shop, shop
from tests.pages.surfing import Page, Surfer
from tests.stack import BASE_URL, Stack

__all__ = ["shop"]


@pytest.fixture(scope="module")
async def stack(shop: Shop) -> Stack:
    """The product with its providers' sandboxes."""
    return shop.stack


async def at_home(shop: Shop, surfer: Surfer) -> Customer:
    """A customer who owes an invoice, logged in."""
    customer = await shop.customer()
    assert customer.browser.token
    surfer.cookies["mts_session"] = customer.browser.token
    return customer


async def click_pay(surfer: Surfer, page: Page, customer: Customer, provider: str = "stripe") -> Page:
    """Press one of the buttons."""
    return await surfer.submit(page, f"/invoices/{customer.cycle_id}/pay", provider=provider)


@pytest.mark.parametrize("provider", ["stripe", "paystack"])
async def test_paying_shows_as_paid_once_the_provider_has_said_so(shop: Shop, surfer: Surfer, provider: str) -> None:
    customer = await at_home(shop, surfer)
    place = f"/invoices/{customer.cycle_id}"
    assert "$50.00 to pay." in (await surfer.get("/billing")).text
    sent = await click_pay(surfer, await surfer.get(place), customer, provider)
    assert sent.status == 303
    assert sent.location.startswith(shop.sandbox)
    too_early = await surfer.get(f"{place}?payment=done&trxref=x&reference=x")
    assert "We wait for the provider’s word" in too_early.text
    assert 'http-equiv="refresh"' in too_early.response.text
    assert "To pay: $50.00" in too_early.text
    await shop.press(sent.location)
    await shop.work()
    paid = await surfer.get(f"{place}?payment=done")
    assert "Thank you. The invoice is paid" in paid.text
    assert f"{place}/pay" not in [form.action for form in paid.forms]
    assert 'http-equiv="refresh"' not in paid.response.text


async def test_coming_back_marks_nothing_as_paid(shop: Shop, surfer: Surfer) -> None:
    customer = await at_home(shop, surfer)
    place = f"/invoices/{customer.cycle_id}"
    for query in ("?payment=done", "?payment=cancelled", "?payment=done&reference=made-up"):
        page = await surfer.get(place + query)
        assert (page.status, "To pay: $50.00" in page.text) == (200, True)
    assert "Nothing was paid." in (await surfer.get(f"{place}?payment=cancelled")).text
    assert (await shop.cycle(customer)).status == "pending"
    assert (await surfer.get(f"{place}?payment=paid")).status == 400


async def test_a_second_click_leads_to_the_same_page(shop: Shop, surfer: Surfer) -> None:
    customer = await at_home(shop, surfer)
    page = await surfer.get(f"/invoices/{customer.cycle_id}")
    first, second = await click_pay(surfer, page, customer), await click_pay(surfer, page, customer)
    assert first.location == second.location
    other = await click_pay(surfer, page, customer, "paystack")
    assert other.location != first.location
    assert [attempt.status for attempt in await shop.attempts(customer)] == ["expired", "open"]


async def test_a_provider_that_is_away_is_a_sentence_and_nothing_is_lost(shop: Shop, surfer: Surfer) -> None:
    customer = await at_home(shop, surfer)
    page = await surfer.get(f"/invoices/{customer.cycle_id}")
    await shop.control("stripe", fail_next=10)
    refused = await click_pay(surfer, page, customer)
    assert (refused.status, "does not answer; nothing was charged" in refused.text) == (503, True)
    await shop.control("stripe", fail_next=0)
    assert (await click_pay(surfer, refused, customer)).status == 303


async def test_an_unknown_provider_is_refused_on_the_same_page(shop: Shop, surfer: Surfer) -> None:
    customer = await at_home(shop, surfer)
    page = await surfer.get(f"/invoices/{customer.cycle_id}")
    assert (await click_pay(surfer, page, customer, "piggybank")).status == 400


async def test_another_organizations_invoice_is_not_there(shop: Shop, surfer: Surfer) -> None:
    other = await shop.customer()
    own = await at_home(shop, surfer)
    token = (await surfer.get(f"/invoices/{own.cycle_id}")).form(f"/invoices/{own.cycle_id}/pay").values["csrf"]
    place = f"/invoices/{other.cycle_id}"
    for path in (place, f"{place}/print", f"{place}/pdf"):
        assert (await surfer.get(path)).status == 404
    assert (await surfer.post(f"{place}/pay", {"csrf": token, "provider": "stripe"})).status == 404
    assert await shop.attempts(other) == []


async def test_an_invoice_prints_and_is_a_pdf(shop: Shop, surfer: Surfer) -> None:
    customer = await at_home(shop, surfer)
    printed = await surfer.get(f"/invoices/{customer.cycle_id}/print")
    assert "Invoice INV-" in printed.text
    paper = await surfer.get(f"/invoices/{customer.cycle_id}/pdf")
    assert paper.response.content.startswith(b"%PDF-")
    assert paper.response.headers["content-type"] == "application/pdf"


async def test_plans_go_up_at_once_down_with_the_month_and_can_be_kept(shop: Shop, surfer: Surfer) -> None:
    await at_home(shop, surfer)
    assert "You move to the Starter plan with the next month." in await choose(surfer, "starter")
    billing = await surfer.get("/billing")
    assert "Pro plan, Starter from" in billing.text
    assert "You are on the Pro plan." in await choose(surfer, "pro")
    assert "Starter from" not in (await surfer.get("/billing")).text


async def choose(surfer: Surfer, plan: str) -> str:
    """Take a plan; what the next page says."""
    return (await surfer.follow(await surfer.submit(await surfer.get("/billing"), "/billing/plan", plan=plan))).text


@pytest.mark.browser
async def test_a_person_pays_in_a_browser(shop: Shop, browser: BrowserContext) -> None:
    customer = await shop.customer()
    assert customer.browser.token
    base = str(shop.stack.http.base_url).rstrip("/")
    await browser.add_cookies([{"name": "mts_session", "value": customer.browser.token, "url": base}])

    async def back(route: Route) -> None:
        await route.fulfill(status=200, content_type="text/plain", body="back")

    await browser.route(f"{BASE_URL}/**", back)
    page = await browser.new_page()
    await page.goto("/billing")
    await page.get_by_role("link", name="Pay").click()
    await page.get_by_role("button", name="Pay with Stripe").click()
    await page.get_by_role("button", name="Pay", exact=False).first.click()
    await page.wait_for_url(f"{BASE_URL}/**")
    assert page.url == f"{BASE_URL}/invoices/{customer.cycle_id}?payment=done"
    await shop.delivered()
    await page.goto(page.url.removeprefix(BASE_URL))
    await expect(page.get_by_text("We wait for the provider’s word")).to_be_visible()
    await shop.work()
    await expect(page.get_by_text("Thank you. The invoice is paid")).to_be_visible()  # the page looks again by itself
