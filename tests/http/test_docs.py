"""The documentation pages: complete, self-contained, and drawn by a real browser under their own policy."""

import httpx
import pytest
from playwright.sync_api import ConsoleMessage, Request, sync_playwright

from api.error_table import ERRORS
from api.permissions import matrix_rows

CHROMIUM = "/usr/bin/chromium"


def test_each_error_code_has_its_section(client: httpx.Client) -> None:
    text = client.get("/docs/errors").text
    for code in ERRORS:
        assert f'<section id="{code}">' in text


def test_the_roles_page_prints_the_matrix(client: httpx.Client) -> None:
    text = client.get("/docs/roles").text
    for action, cells in matrix_rows():
        assert f'<th scope="row">{action}</th>' in text
        assert all(f">{cell}</td>" in text for cell in cells)


def test_vendored_files_are_kept_by_browsers_and_carry_their_licence(client: httpx.Client) -> None:
    script = client.get("/static/vendor/rapidoc-9.3.8/rapidoc-min.js")
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "MIT" in client.get("/static/vendor/rapidoc-9.3.8/LICENSE.txt").text


@pytest.mark.browser
def test_a_browser_draws_the_reference_without_asking_anybody_else(client: httpx.Client) -> None:
    asked: list[str] = []
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    def note(request: Request) -> None:
        asked.append(request.url)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", hear)
        page.on("request", note)
        page.goto(f"{client.base_url}/docs")
        page.get_by_text("Add a person").first.wait_for(timeout=20_000)
        page.goto(f"{client.base_url}/docs/errors")
        page.goto(f"{client.base_url}/docs/roles")
        browser.close()
    assert complaints == []
    assert all(url.startswith((str(client.base_url), "data:")) for url in asked)
