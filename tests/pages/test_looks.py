"""What makes pages readable for everybody: contrast in light and dark, and no page wider than a small phone."""

import re

import pytest
from playwright.async_api import BrowserContext

from settings import ROOT
from tests.pages.lively import make_lively
from tests.stack import Stack

ON_GROUNDS = ("ink", "quiet", "accent", "bad")
PAIRS = [
    *[(text, ground) for text in ON_GROUNDS for ground in ("ground", "surface")],
    ("ink", "sunken"), ("quiet", "sunken"), ("on-accent", "accent"), ("on-accent", "accent-strong"),
    ("accent", "accent-soft"), ("good", "good-soft"), ("bad", "bad-soft"), ("warn", "warn-soft"), ("surface", "bad"),
]  # fmt: skip

PATHS = ["/dashboard", "/keys", "/keys/new", "/team", "/usage", "/billing", "/audit", "/account"]
# What sticks out, unless it can be scrolled within its own frame.
TOO_WIDE = """[...document.querySelectorAll('body *')]
  .filter(each => each.getBoundingClientRect().right > innerWidth + 1 && !each.closest('nav, pre, .scroll, [popover]'))
  .map(each => each.outerHTML.slice(0, 90))"""


def palettes() -> dict[str, dict[str, str]]:
    """The colours of both schemes by name."""
    blocks = re.findall(r":root {(.*?)}", (ROOT / "static" / "pages" / "pages.css").read_text(), re.DOTALL)
    found = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in blocks]
    return {"light": found[0], "dark": found[0] | found[1]}


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(scheme: str) -> None:
    colours = palettes()[scheme]
    for text, ground in PAIRS:
        low, high = sorted((luminance(colours[text]), luminance(colours[ground])))
        ratio = (high + 0.05) / (low + 0.05)
        assert ratio >= 4.5, f"{text} on {ground} has {ratio:.2f}"


@pytest.mark.browser
async def test_no_page_is_wider_than_a_small_phone(stack: Stack, browser: BrowserContext) -> None:
    owner = (await make_lively(stack))["owner"]
    long_name = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
    await owner.put("/organization", {"name": long_name})
    await owner.post("/keys", {"name": long_name * 2})
    page = await browser.new_page()
    await page.set_viewport_size({"width": 320, "height": 640})
    await page.goto("/login")
    await page.get_by_label("E-mail").fill(owner.email)
    await page.get_by_label("Password", exact=True).fill(owner.password)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url("**/dashboard")
    await page.goto("/billing")
    invoice = await page.locator("a[href^='/invoices/']").first.get_attribute("href")
    for path in [*PATHS, invoice or ""]:
        await page.goto(path)
        assert await page.evaluate(TOO_WIDE) == [], path
