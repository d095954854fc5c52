"""Cookies: unreadable by scripts, never sent from other sites, and in production only over HTTPS to this very host."""

from tests.pages.surfing import Surfer
from tests.stack import Stack, serving
from tests.visitors import PASSWORD


async def test_the_session_cookie_is_closed_to_scripts_and_other_sites(stack: Stack, surfer: Surfer) -> None:
    await surfer.submit(
        await surfer.get("/register"), "/register", organization_name="Acme", email=stack.new_email(), password=PASSWORD
    )
    (session,) = [line for line in surfer.set_cookies if line.startswith("mts_session=")]
    parts = session.split("; ")[1:]
    assert parts[:3] == ["Path=/", "HttpOnly", "SameSite=Lax"]
    assert parts[3].startswith("Max-Age=6047")
    assert all("HttpOnly" in line for line in surfer.set_cookies)


async def test_production_cookies_are_secure_and_bound_to_the_host(stack: Stack, surfer: Surfer) -> None:
    settings = stack.settings.model_copy(update={"environment": "production", "base_url": "https://mts.example"})
    async with serving(settings, stack.clock) as (http, _):
        surfer = Surfer(http, surfer.network)
        await surfer.submit(
            await surfer.get("/register"), "/register", organization_name="Acme", email=stack.new_email(),
            password=PASSWORD,
        )  # fmt: skip
        (session,) = [line for line in surfer.set_cookies if line.startswith("__Host-mts_session=")]
        assert session.endswith("; Secure")
        assert "Domain" not in session
        assert (await surfer.get("/dashboard")).status == 200
        surfer.cookies["mts_session"] = surfer.cookies.pop("__Host-mts_session")
        assert (await surfer.get("/dashboard")).status == 303


async def test_a_session_that_was_ended_elsewhere_is_over_here(stack: Stack, surfer: Surfer) -> None:
    email = stack.new_email()
    await surfer.register(email, PASSWORD)
    stack.rows("update identity.sessions set revoked_at = now() returning id")
    answer = await surfer.get("/keys")
    assert (answer.status, answer.location) == (303, "/login?next=/keys")
    assert "mts_session" not in surfer.cookies
    assert "Your session has ended." in (await surfer.follow(answer)).text


async def test_a_session_ends_with_its_time(stack: Stack, surfer: Surfer) -> None:
    await surfer.register(stack.new_email(), PASSWORD)
    stack.clock.turn(days=8)
    try:
        assert (await surfer.get("/dashboard")).location == "/login?next=/dashboard"
    finally:
        stack.clock.turn(days=-8)


async def test_a_notice_is_shown_once_and_cannot_be_made_up(stack: Stack, surfer: Surfer) -> None:
    await surfer.register(stack.new_email(), PASSWORD)
    renamed = await surfer.submit(await surfer.get("/team"), "/team/name", name="Umbrella")
    assert "The organization is called Umbrella now." in (await surfer.follow(renamed)).text
    assert "is called Umbrella now" not in (await surfer.get("/team")).text
    surfer.cookies["mts_notice"] = "WyJnb29kIiwgIlBheSBoZXJlIl0.c2lnbmVk"
    assert "Pay here" not in (await surfer.get("/team")).text


async def test_cookies_of_other_programs_do_not_disturb(stack: Stack, surfer: Surfer) -> None:
    await surfer.register(stack.new_email(), PASSWORD)
    surfer.cookies = {"other": '{"a": [1, "b"]}', "=": "", **surfer.cookies}
    assert (await surfer.get("/dashboard")).status == 200
