"""What people type is text: no name, wherever it is shown, becomes markup or runs."""

import pytest
from playwright.async_api import BrowserContext, ConsoleMessage, Dialog

from tests.pages.lively import EVIL
from tests.stack import Stack
from tests.visitors import Person

pytestmark = pytest.mark.browser
PAGES = ["/dashboard", "/keys", "/keys/new", "/team", "/usage", "/billing", "/audit", "/account"]


@pytest.fixture(scope="module")
async def victim(stack: Stack) -> Person:
    """Somebody in an organization where every name is an attack."""
    owner = await stack.register(EVIL[:80])
    key = (await owner.post("/keys", {"name": EVIL})).data["key"]
    message = {"type": "email", "to": "somebody@mts-test.com", "message": EVIL, "subject": EVIL[:50]}
    await stack.http.post("/api/v1/messages/send", json=message, headers={"X-API-Key": key})
    stack.rows("update identity.accounts set full_name = %s where email = %s returning id", EVIL, owner.email)
    return owner


async def test_names_are_shown_and_do_nothing(stack: Stack, victim: Person, browser: BrowserContext) -> None:
    page = await browser.new_page()
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    async def dismiss(dialog: Dialog) -> None:
        complaints.append(dialog.message)
        await dialog.dismiss()

    page.on("console", hear)
    page.on("dialog", dismiss)
    await page.goto("/login")
    await page.get_by_label("E-mail").fill(victim.email)
    await page.get_by_label("Password", exact=True).fill(victim.password)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url("**/dashboard")
    for path in PAGES:
        await page.goto(path)
        assert EVIL[:40] in await page.locator("body").inner_text(), path
        assert await page.evaluate("window.hurt") is None
        assert await page.locator("img[src=x]").count() == 0
    assert complaints == []


async def test_the_receiver_of_an_invitation_is_as_safe(stack: Stack, victim: Person, browser: BrowserContext) -> None:
    _, token = await stack.invite(victim)
    page = await browser.new_page()
    await page.goto(f"/accept-invitation?token={token}")
    assert "<script>" in await page.get_by_role("heading").inner_text()
    assert await page.evaluate("window.hurt") is None


async def test_what_a_form_sent_comes_back_as_text(browser: BrowserContext) -> None:
    page = await browser.new_page()
    await page.goto("/register")
    await page.get_by_label("Organization").fill(EVIL)
    await page.get_by_label("E-mail").fill("somebody@mts-test.com")
    await page.get_by_label("Password", exact=True).fill("12345678")
    await page.get_by_role("button", name="Create account").click()
    await page.wait_for_load_state()
    assert await page.get_by_label("Organization").input_value() == EVIL
    assert await page.evaluate("window.hurt") is None


async def test_an_inline_script_would_not_run(browser: BrowserContext) -> None:
    page = await browser.new_page()
    await page.goto("/login")
    blocked = await page.evaluate(
        """new Promise(resolve => {
            document.addEventListener('securitypolicyviolation', event => resolve(event.effectiveDirective));
            document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.hurt=1>');
        })"""
    )
    assert blocked == "script-src-attr"
    assert await page.evaluate("window.hurt") is None


async def test_no_other_site_may_frame_a_page(stack: Stack) -> None:
    answer = await stack.http.get("/login")
    assert answer.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
