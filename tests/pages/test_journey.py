"""One person's way through the product in a real browser, from signing up to logging out."""

import re

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.stack import Stack
from tests.visitors import PASSWORD

pytestmark = pytest.mark.browser


async def sign_up(page: Page, email: str, organization: str = "Globex") -> None:
    """Register through the form."""
    await page.goto("/")
    await page.get_by_role("link", name="Create an account").click()
    await page.get_by_label("Organization").fill(organization)
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Create account").click()
    await page.wait_for_url("**/dashboard")


async def test_from_sign_up_to_log_out(stack: Stack, browser: BrowserContext) -> None:
    page, email = await browser.new_page(), stack.new_email()
    await sign_up(page, email)
    await verify(page, stack, email)
    secret = await create_key(page, "Shop, production")
    await page.reload()
    await expect(page).to_have_url(re.compile("/keys$"))
    assert secret not in await page.content()

    message = {"type": "email", "to": "somebody@mts-test.com", "message": "Hello"}
    sent = await stack.http.post("/api/v1/messages/send", json=message, headers={"X-API-Key": secret})
    assert sent.status_code == 200
    await page.get_by_role("link", name="Dashboard").click()
    await expect(page.get_by_role("img", name="1 request in the last 30 days, 0 of them failed")).to_be_visible()

    guest = stack.new_email()
    await invite(page, guest)
    await stack.work()
    await join(browser, stack, guest)

    await page.goto("/keys")
    await revoke_key(page, "Shop, production")
    refused = await stack.http.post("/api/v1/messages/send", json=message, headers={"X-API-Key": secret})
    assert refused.status_code == 401

    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_text("You are logged out.")).to_be_visible()
    await page.goto("/dashboard")
    await expect(page).to_have_url(re.compile("/login"))


async def verify(page: Page, stack: Stack, email: str) -> None:
    """Follow the link of the mail, twice as a mail scanner would; only the button acts."""
    await expect(page.get_by_text("Verify your e-mail address:")).to_be_visible()
    await stack.work()
    link = f"/verify-email?token={stack.token_for(email, '/verify-email')}"
    await page.goto(link)
    await page.goto(link)
    await page.get_by_role("button", name="Verify my address").click()
    await expect(page.get_by_text(f"{email} is verified.")).to_be_visible()
    await expect(page.get_by_text("Verify your e-mail address:")).to_have_count(0)


async def create_key(page: Page, name: str) -> str:
    """Make a key; its value."""
    await page.get_by_role("link", name="API keys").click()
    await page.get_by_role("link", name="Create API key").click()
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Create key").click()
    await expect(page.get_by_text("Copy the key now.")).to_be_visible()
    secret = await page.locator("#key-value").inner_text()
    assert re.fullmatch("sk_live_[0-9a-f]{64}", secret)
    return secret


async def revoke_key(page: Page, name: str) -> None:
    """Revoke a key: first the question, then the answer."""
    row = page.get_by_role("row").filter(has_text=name)
    await row.get_by_role("button", name="Revoke", exact=True).click()
    question = page.get_by_role("dialog")
    await expect(question).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(question).to_be_hidden()
    await row.get_by_role("button", name="Revoke", exact=True).click()
    await page.get_by_role("button", name="Revoke key").click()
    await expect(page.get_by_text("The key is revoked")).to_be_visible()
    await expect(row.get_by_text("Revoked")).to_be_visible()


async def invite(page: Page, email: str) -> None:
    """Invite somebody as a member."""
    await page.get_by_role("link", name="Team").click()
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_role("button", name="Send invitation").click()
    await expect(page.get_by_text(f"The invitation is on its way to {email}.")).to_be_visible()


async def join(owner: BrowserContext, stack: Stack, email: str) -> None:
    """Accept in a browser of one's own; a member sees keys and team, and no billing."""
    assert owner.browser is not None
    context = await owner.browser.new_context(base_url=str(stack.http.base_url))
    page = await context.new_page()
    await page.goto(f"/accept-invitation?token={stack.token_for(email, '/accept-invitation')}")
    await expect(page.get_by_role("heading", name="Join Globex")).to_be_visible()
    await page.get_by_label("Choose a password").fill(PASSWORD)
    await page.get_by_role("button", name="Create account and join").click()
    await page.wait_for_url("**/dashboard")
    await expect(page.get_by_role("link", name="API keys", exact=True)).to_be_visible()
    await expect(page.get_by_role("link", name="Billing")).to_have_count(0)
    await context.close()


async def test_without_scripts_everything_works_too(stack: Stack, browser: BrowserContext) -> None:
    assert browser.browser is not None
    context = await browser.browser.new_context(base_url=str(stack.http.base_url), java_script_enabled=False)
    page, email = await context.new_page(), stack.new_email()
    await sign_up(page, email)
    await create_key(page, "No script")
    await page.goto("/keys")
    await revoke_key(page, "No script")
    await context.close()


async def test_a_wrong_form_is_shown_again_with_what_was_typed_but_no_password(
    stack: Stack, browser: BrowserContext
) -> None:
    page = await browser.new_page()
    await page.goto("/register")
    await page.get_by_label("Organization").fill("Initech")
    await page.get_by_label("E-mail").fill(stack.new_email())
    await page.get_by_label("Password", exact=True).fill("password")
    await page.get_by_role("button", name="Create account").click()
    field = page.get_by_label("Password", exact=True)
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_be_focused()
    await expect(field).to_have_value("")
    await expect(page.get_by_label("Organization")).to_have_value("Initech")


async def test_keyboard_alone_is_enough_to_log_in(stack: Stack, browser: BrowserContext) -> None:
    person = await stack.register()
    page = await browser.new_page()
    await page.goto("/login")
    await page.keyboard.type(person.email)
    await page.keyboard.press("Tab")
    await page.keyboard.type(person.password)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/dashboard")
