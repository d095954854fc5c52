"""Forms that did not come from our page, shown to this browser, do nothing."""

import pytest

from tests.pages.surfing import Surfer
from tests.stack import Stack
from tests.visitors import PASSWORD

FORGED = "did not come from here"


@pytest.fixture
async def owner(stack: Stack, surfer: Surfer) -> Surfer:
    """Somebody logged in."""
    await surfer.register(stack.new_email(), PASSWORD)
    return surfer


async def keys_of(owner: Surfer) -> str:
    """The page of keys, as text."""
    return (await owner.get("/keys")).text


@pytest.mark.parametrize("token", ["", "x", "x.y", "0123456789abcdef.", "é.é"])
async def test_a_missing_or_wrong_token_is_refused(owner: Surfer, token: str) -> None:
    answer = await owner.post("/keys", {"csrf": token, "name": "forged"})
    assert answer.status == 403
    assert FORGED in answer.text
    assert "forged" not in await keys_of(owner)


async def test_a_token_of_another_session_is_refused(stack: Stack, owner: Surfer) -> None:
    other = Surfer(stack.http, "10.253.1.7")
    await other.register(stack.new_email(), PASSWORD)
    theirs = (await other.get("/keys/new")).form("/keys").values["csrf"]
    assert (await owner.post("/keys", {"csrf": theirs, "name": "forged"})).status == 403


async def test_a_token_from_before_the_log_in_is_refused(owner: Surfer, stack: Stack) -> None:
    stranger = Surfer(stack.http, "10.253.2.7")
    before = (await stranger.get("/login")).form("/login").values["csrf"]
    stranger.cookies |= owner.cookies
    assert (await stranger.post("/keys", {"csrf": before, "name": "forged"})).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_site_is_refused_even_with_the_right_token(owner: Surfer, headers: dict[str, str]) -> None:
    values = (await owner.get("/keys/new")).form("/keys").values | {"name": "forged", "lifetime": ""}
    assert (await owner.post("/keys", values, **headers)).status == 403
    assert "forged" not in await keys_of(owner)


@pytest.mark.parametrize("path", ["/login", "/register", "/forgot-password", "/reset-password", "/verify-email"])
async def test_forms_before_the_log_in_are_bound_to_the_visit(stack: Stack, surfer: Surfer, path: str) -> None:
    theirs = (await surfer.get(path)).form(path).values
    victim = Surfer(stack.http, "10.253.3.7")
    assert (await victim.post(path, theirs | {"email": "a@mts-test.com", "password": PASSWORD})).status == 403
    await victim.get(path)
    assert (await victim.post(path, theirs | {"email": "a@mts-test.com", "password": PASSWORD})).status == 403
    assert "mts_session" not in victim.cookies


async def test_a_visit_that_the_visitor_made_up_is_replaced(surfer: Surfer) -> None:
    surfer.cookies["mts_visit"] = "bWFkZSB1cA.bWFkZSB1cA"
    await surfer.get("/login")
    assert any(line.startswith("mts_visit=") for line in surfer.set_cookies)


async def test_pages_of_secret_links_may_send_no_origin(surfer: Surfer) -> None:
    page = await surfer.get("/reset-password?token=0123456789abcdef0123")
    values = page.form("/reset-password").values | {"new_password": PASSWORD}
    answer = await surfer.post("/reset-password", values, Origin="null", Sec_Fetch_Site="same-origin")
    assert answer.status == 401
    assert "invalid, was used, or has expired" in answer.text
