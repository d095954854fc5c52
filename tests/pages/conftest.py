"""The pages are tested against the whole running product: with a browser's eyes, and as the bytes that it gets."""

import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, BrowserContext, async_playwright

from tests.networks import new_network
from tests.pages.surfing import Surfer
from tests.stack import Stack, stack, visitor

__all__ = ["stack", "visitor"]

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """A real browser; a machine without one fails these tests and says what to install."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("No chromium here: install it (Debian: apt-get install chromium) to run the browser tests.")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def browser(chromium: Browser, stack: Stack) -> AsyncIterator[BrowserContext]:
    """A browser of somebody new; `page.goto("/login")` goes to the running product."""
    context = await chromium.new_context(
        base_url=str(stack.http.base_url), extra_http_headers={"X-Forwarded-For": new_network()}
    )
    context.set_default_timeout(15_000)
    yield context
    await context.close()


@pytest.fixture
def surfer(stack: Stack) -> Surfer:
    """Somebody new without scripts: gets pages, fills in their forms, follows nothing by itself."""
    return Surfer(stack.http, new_network())
