"""What mails lead to, and one's own account: reset, verification, invitations, sessions, organizations."""

import pytest

from tests.pages.surfing import Page, Surfer
from tests.stack import Stack

NEW_PASSWORD = "crimson-teapot-orbit"


async def new_surfer(stack: Stack, surfer: Surfer, number: int) -> Surfer:
    """Another browser of the same person."""
    return Surfer(stack.http, surfer.network[:-1] + str(number))


async def test_a_forgotten_password_is_replaced_by_the_link_in_the_mail(stack: Stack, surfer: Surfer) -> None:
    person = await stack.register()
    asked = await surfer.submit(await surfer.get("/forgot-password"), "/forgot-password", email=person.email)
    assert f"If {person.email} has an account" in asked.text
    await stack.work()
    page = await surfer.get(f"/reset-password?token={stack.token_for(person.email, '/reset-password')}")
    weak = await surfer.submit(page, "/reset-password", new_password="password1")
    assert weak.status == 400
    done = await surfer.submit(weak, "/reset-password", new_password=NEW_PASSWORD)
    assert "Your password is changed." in (await surfer.follow(done)).text
    assert "mts_session" not in surfer.cookies
    again = await surfer.submit(weak, "/reset-password", new_password=NEW_PASSWORD)
    assert again.status == 401
    assert (await surfer.log_in(person.email, NEW_PASSWORD)).location == "/dashboard"


async def test_the_page_is_the_same_for_an_unknown_address(stack: Stack, surfer: Surfer) -> None:
    known, unknown = (await stack.register()).email, stack.new_email()
    pages = [
        await surfer.submit(await surfer.get("/forgot-password"), "/forgot-password", email=email)
        for email in (known, unknown)
    ]
    assert pages[0].text.replace(known, "…") == pages[1].text.replace(unknown, "…")


@pytest.mark.parametrize("path", ["/reset-password", "/verify-email", "/accept-invitation"])
async def test_the_address_of_a_secret_link_is_told_to_nobody(surfer: Surfer, path: str) -> None:
    page = await surfer.get(f"{path}?token=0123456789abcdef0123456789abcdef")
    assert page.response.headers["referrer-policy"] == "no-referrer"
    assert page.response.headers["cache-control"] == "no-store"
    assert [value for name, value in page.response.headers.multi_items() if name == "referrer-policy"] == [
        "no-referrer"
    ]


async def test_an_account_that_exists_joins_with_its_password(stack: Stack, surfer: Surfer) -> None:
    owner, guest = await stack.register("Globex"), await stack.register("Own")
    _, token = await stack.invite(owner, email=guest.email)
    page = await surfer.get(f"/accept-invitation?token={token}")
    assert "Join Globex" in page.text
    wrong = await surfer.submit(page, "/accept-invitation", password="not the password")
    assert wrong.status == 401
    joined = await surfer.submit(wrong, "/accept-invitation", password=guest.password)
    assert "Welcome to Globex." in (await surfer.follow(joined)).text


async def test_whoever_is_logged_in_joins_with_one_click_and_can_switch_back(stack: Stack, surfer: Surfer) -> None:
    owner, guest = await stack.register("Globex"), await stack.register("Own")
    _, token = await stack.invite(owner, email=guest.email)
    await surfer.log_in(guest.email, guest.password)
    page = await surfer.get(f"/accept-invitation?token={token}")
    assert "password" not in page.form("/accept-invitation").values
    joined = await surfer.follow(await surfer.submit(page, "/accept-invitation"))
    assert "Globex" in joined.text
    account = await surfer.get("/account")
    assert account.text.count("Work here") == 1
    back = await surfer.follow(await surfer.submit(account, "/account/organization"))
    assert "You work in Own now." in back.text


async def test_an_invitation_of_somebody_else_needs_that_accounts_password(stack: Stack, surfer: Surfer) -> None:
    owner, guest, other = await stack.register("Globex"), await stack.register("Own"), await stack.register("Other")
    _, token = await stack.invite(owner, email=guest.email)
    await surfer.log_in(other.email, other.password)
    page = await surfer.get(f"/accept-invitation?token={token}")
    assert "password" in page.form("/accept-invitation").values
    assert (await surfer.submit(page, "/accept-invitation", password="")).status in (400, 401)


async def test_a_declined_invitation_is_over(stack: Stack, surfer: Surfer) -> None:
    owner = await stack.register("Globex")
    _, token = await stack.invite(owner)
    page = await surfer.get(f"/accept-invitation?token={token}")
    assert "declined" in (await surfer.follow(await surfer.submit(page, "/decline-invitation"))).text
    assert "This invitation is over" in (await surfer.get(f"/accept-invitation?token={token}")).text


async def test_changing_the_password_ends_the_other_sessions(stack: Stack, surfer: Surfer) -> None:
    person = await stack.register()
    other = await new_surfer(stack, surfer, 8)
    await surfer.log_in(person.email, person.password)
    await other.log_in(person.email, person.password)
    account = await surfer.get("/account")
    wrong = await surfer.submit(account, "/account/password", current_password="wrong one", new_password=NEW_PASSWORD)
    assert (wrong.status, "Wrong e-mail address or password" in wrong.text) == (401, True)
    done = await surfer.submit(wrong, "/account/password", current_password=person.password, new_password=NEW_PASSWORD)
    assert "Your password is changed." in (await surfer.follow(done)).text
    assert (await other.get("/dashboard")).status == 303


async def test_one_session_or_all_can_be_ended(stack: Stack, surfer: Surfer) -> None:
    person = await stack.register()
    other = await new_surfer(stack, surfer, 8)
    await surfer.log_in(person.email, person.password)
    await other.log_in(person.email, person.password)
    account = await surfer.get("/account")
    ends = [form.action for form in account.forms if form.action.endswith("/end") and "sessions/" in form.action]
    assert len(ends) == 3  # the API's, the other browser's, and all of them
    await surfer.submit(account, ends[0])
    await surfer.submit(account, ends[1])
    assert (await other.get("/dashboard")).status == 303
    assert (await surfer.get("/account")).status == 200
    await other.log_in(person.email, person.password)
    everywhere = await surfer.submit(await surfer.get("/account"), "/account/sessions/end")
    assert "You are logged out everywhere." in (await surfer.follow(everywhere)).text
    assert (await other.get("/dashboard")).status == 303


async def test_the_team_is_run_from_its_page(stack: Stack, surfer: Surfer) -> None:
    owner = await stack.register("Globex")
    member = await stack.join(owner)
    await surfer.log_in(owner.email, owner.password)
    place = f"/team/members/{member.user['id']}"
    assert "is now admin." in await told(surfer, f"{place}/role", role="admin")
    assert "The member is removed" in await told(surfer, f"{place}/remove")
    guest = stack.new_email()
    assert f"on its way to {guest}" in await told(surfer, "/team/invite", email=guest, role="member")
    again = await surfer.submit(await surfer.get("/team"), "/team/invite", email=guest, role="member")
    assert (again.status, "has a live invitation" in again.text) == (409, True)
    pending = [form.action for form in again.forms if form.action.endswith("/resend")]
    assert "Sent again" in await told(surfer, pending[0])
    assert "The invitation is cancelled." in await told(surfer, pending[0].replace("/resend", "/cancel"))
    alone = await surfer.submit(await surfer.get("/team"), "/team/leave")
    assert (alone.status, "An organization needs an owner" in alone.text) == (409, True)


async def told(surfer: Surfer, action: str, **values: str) -> str:
    """Send a form of the team's page; what the next page says."""
    page: Page = await surfer.submit(await surfer.get("/team"), action, **values)
    return (await surfer.follow(page)).text


async def test_log_in_goes_on_to_where_one_wanted_to_and_nowhere_else(stack: Stack, surfer: Surfer) -> None:
    person = await stack.register()
    asked = await surfer.get("/keys")
    form = await surfer.follow(asked)
    sent = await surfer.submit(form, "/login", email=person.email, password=person.password)
    assert sent.location == "/keys"
    for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb"):
        stranger = await new_surfer(stack, surfer, 9)
        page = await stranger.get("/login")
        values = page.form("/login").values | {"email": person.email, "password": person.password, "next": elsewhere}
        assert (await stranger.post("/login", values)).location == "/dashboard"


async def test_guessing_is_slowed_down_with_a_clear_sentence(stack: Stack, surfer: Surfer) -> None:
    person = await stack.register()
    page = await surfer.log_in(person.email, "a wrong guess")
    for _ in range(7):
        if page.status == 401:
            page = await surfer.log_in(person.email, "a wrong guess")
    assert page.status == 429
    assert int(page.response.headers["retry-after"]) >= 1
    assert "Too many attempts" in page.text
    assert page.form("/login").values["email"] == person.email
