"""What one may not see does not show, and an error looks like a page: 404, 403, 429, 500, 503."""

from uuid import uuid4

import pytest

from db.errors import Unavailable
from tests.pages.surfing import Surfer
from tests.stack import Stack
from tests.visitors import Person


@pytest.fixture(scope="module")
async def owner(stack: Stack) -> Person:
    """The owner of one organization."""
    return await stack.register("Globex")


@pytest.fixture
async def logged_in(surfer: Surfer, owner: Person) -> Surfer:
    """The owner's browser."""
    await surfer.log_in(owner.email, owner.password)
    return surfer


async def send(surfer: Surfer, path: str, **values: str) -> int:
    """Send a form that no page offers, with a token that is right; the status."""
    token = (await surfer.get("/keys/new")).form("/keys").values["csrf"]
    return (await surfer.post(path, {"csrf": token} | values)).status


async def test_another_organizations_things_are_not_there(stack: Stack, logged_in: Surfer) -> None:
    other = await stack.register("Other")
    member = await stack.join(other)
    key = (await other.post("/keys", {"name": "theirs"})).data["id"]
    await other.post("/team/invite", {"email": stack.new_email(), "role": "member"})
    invitation = (await other.get("/team/members")).data["pending_invitations"][0]["id"]
    for path in (f"/keys/{key}/revoke", f"/keys/{key}/rotate", f"/team/invitations/{invitation}/cancel"):
        assert await send(logged_in, path) == 404
    assert await send(logged_in, f"/team/members/{member.user['id']}/remove") == 404
    assert await send(logged_in, f"/team/members/{member.user['id']}/role", role="admin") == 404
    assert await send(logged_in, f"/account/sessions/{uuid4()}/end") == 404
    assert (await logged_in.get(f"/invoices/{uuid4()}")).status == 404
    assert (await logged_in.get("/invoices/not-an-id")).status == 404
    assert len((await other.get("/keys")).data["keys"]) == 1


async def test_a_member_sees_no_billing_and_runs_no_team(stack: Stack, owner: Person, surfer: Surfer) -> None:
    member = await stack.join(owner)
    await surfer.log_in(member.email, member.password)
    for path in ("/usage", "/billing", f"/invoices/{uuid4()}", "/audit"):
        page = await surfer.get(path)
        assert (page.status, "Your role does not allow this" in page.text) == (403, True)
    assert await send(surfer, "/team/invite", email="a@mts-test.com", role="member") == 403
    assert await send(surfer, "/team/name", name="Mine now") == 403
    dashboard = await surfer.get("/dashboard")
    assert "Cost" not in dashboard.text


async def test_a_member_revokes_own_keys_only(stack: Stack, owner: Person, surfer: Surfer) -> None:
    member = await stack.join(owner)
    theirs = (await owner.post("/keys", {"name": "the owner's"})).data["id"]
    own = (await member.post("/keys", {"name": "the member's"})).data["id"]
    await surfer.log_in(member.email, member.password)
    actions = {form.action for form in (await surfer.get("/keys")).forms}
    assert f"/keys/{own}/revoke" in actions
    assert f"/keys/{theirs}/revoke" not in actions
    assert await send(surfer, f"/keys/{theirs}/revoke") == 403
    assert await send(surfer, f"/keys/{own}/revoke") == 303


async def test_a_demotion_acts_at_the_next_click(stack: Stack, owner: Person, surfer: Surfer) -> None:
    admin = await stack.join(owner, "admin")
    await surfer.log_in(admin.email, admin.password)
    assert (await surfer.get("/billing")).status == 200
    await owner.put(f"/team/members/{admin.user['id']}/role", {"role": "member"})
    assert (await surfer.get("/billing")).status == 403


async def test_an_unknown_address_is_a_page_for_a_browser_and_an_envelope_for_a_program(
    stack: Stack, surfer: Surfer
) -> None:
    page = await surfer.get("/nowhere")
    assert (page.status, "<h1>Not found</h1>" in page.response.text) == (404, True)
    program = await stack.http.get("/nowhere", headers={"Accept": "*/*"})
    assert program.json()["error"]["code"] == "NOT_FOUND"
    api = await surfer.get("/api/v1/nowhere")
    assert api.response.json()["error"]["code"] == "NOT_FOUND"


async def test_too_often_is_a_page_with_the_time_to_wait(stack: Stack, surfer: Surfer) -> None:
    page = await surfer.get("/login")
    for _ in range(130):
        if page.status == 200:
            page = await surfer.get("/login")
    assert page.status == 429
    assert int(page.response.headers["retry-after"]) >= 1
    assert "Try again in" in page.text


async def test_a_fault_shows_its_request_id_and_nothing_else(
    stack: Stack, logged_in: Surfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack.resources.clock, "now", lambda: 1 / 0)
    page = await logged_in.get("/dashboard")
    assert page.status == 500
    assert page.response.headers["x-request-id"] in page.text
    assert "ZeroDivision" not in page.response.text


async def test_away_is_a_page_that_says_when_to_come_back(
    stack: Stack, logged_in: Surfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise Unavailable

    monkeypatch.setattr(stack.resources.clock, "now", away)
    page = await logged_in.get("/dashboard")
    assert (page.status, page.response.headers["retry-after"]) == (503, "2")
    assert "Not available just now" in page.text


async def test_a_suspended_organization_is_told_so(stack: Stack, surfer: Surfer) -> None:
    person = await stack.register("Late payers")
    await surfer.log_in(person.email, person.password)
    stack.rows(
        "update identity.organization_directory set status = 'suspended' where organization_id = %s returning 1",
        person.organization["id"],
    )
    page = await surfer.get("/dashboard")
    assert (page.status, "suspended" in page.text) == (403, True)
    assert "mts_session" not in surfer.cookies


async def test_an_unverified_owner_is_asked_to_verify_first(stack: Stack, surfer: Surfer) -> None:
    person = await stack.register(verified=False)
    await surfer.log_in(person.email, person.password)
    team = await surfer.get("/team")
    assert "Verify your own e-mail address first" in team.text
    assert await send(surfer, "/team/invite", email="a@mts-test.com", role="member") == 403
    again = await surfer.follow(await surfer.submit(team, "/verify-email/again"))
    assert f"A new link is on its way to {person.email}." in again.text


async def test_a_form_must_be_a_form(logged_in: Surfer) -> None:
    answer = await logged_in.http.post(
        "/keys", json={"name": "x"}, headers={"Cookie": f"mts_session={logged_in.cookies['mts_session']}"}
    )
    assert answer.status_code == 415
    assert answer.headers["content-type"].startswith("text/html")


async def test_no_box_ticked_is_not_every_box_ticked(logged_in: Surfer) -> None:
    page = await logged_in.get("/keys/new")
    values = page.form("/keys").values | {"name": "may nothing"}
    values.pop("scopes")
    answer = await logged_in.post("/keys", values)
    assert (answer.status, "This field cannot be empty" in answer.text) == (400, True)
    assert "may nothing" not in (await logged_in.get("/keys")).text
