"""The team: who may do what to whom, cell by cell, and always an owner."""

import asyncio

import pytest

from tests.stack import Stack
from tests.visitors import Person, Reply


@pytest.fixture(scope="module")
async def team(stack: Stack) -> dict[str, Person]:
    """An owner, an admin and a member of one organization."""
    owner = await stack.register("Blue Heron")
    return {"owner": owner, "admin": await stack.join(owner, "admin"), "member": await stack.join(owner)}


async def act(stack: Stack, person: Person, owner: Person, action: str) -> Reply:
    """One action of the matrix, on things made for it."""
    if action == "invite":
        return await person.post("/team/invite", {"email": stack.new_email(), "role": "member"})
    if action in ("resend", "cancel"):
        made = await owner.post("/team/invite", {"email": stack.new_email(), "role": "member"})
        path = f"/team/invitations/{made.data['invitation_id']}"
        return await person.post(f"{path}/resend") if action == "resend" else await person.delete(path)
    if action == "rename":
        return await person.put("/organization", {"name": "Blue Heron"})
    if action == "list":
        return await person.get("/team/members")
    other = await stack.join(owner)
    if action == "remove":
        return await person.delete(f"/team/members/{other.user['id']}")
    return await person.put(f"/team/members/{other.user['id']}/role", {"role": "member"})


CELLS = {
    "list": ("OK", "OK", "OK"),
    "invite": ("OK", "OK", "PERMISSION_DENIED"),
    "resend": ("OK", "OK", "PERMISSION_DENIED"),
    "cancel": ("OK", "OK", "PERMISSION_DENIED"),
    "remove": ("OK", "OK", "PERMISSION_DENIED"),
    "change role": ("OK", "PERMISSION_DENIED", "PERMISSION_DENIED"),
    "rename": ("OK", "PERMISSION_DENIED", "PERMISSION_DENIED"),
}


@pytest.mark.parametrize("action", CELLS)
async def test_each_cell_of_the_matrix(stack: Stack, team: dict[str, Person], action: str) -> None:
    found = [(await act(stack, team[role], team["owner"], action)).code for role in ("owner", "admin", "member")]
    assert tuple(found) == CELLS[action]


async def test_only_an_owner_hands_over_and_becomes_an_admin(stack: Stack) -> None:
    owner = await stack.register()
    admin, member = await stack.join(owner, "admin"), await stack.join(owner)
    body = {"user_id": member.user["id"]}
    assert [(await each.post("/team/transfer-ownership", body)).code for each in (admin, member)] == [
        "PERMISSION_DENIED"
    ] * 2
    assert (await owner.post("/team/transfer-ownership", {"user_id": owner.user["id"]})).code == "PERMISSION_DENIED"
    assert (await owner.post("/team/transfer-ownership", body)).data["user"]["role"] == "owner"
    roles = {each["id"]: each["role"] for each in (await owner.get("/team/members")).data["members"]}
    assert (roles[owner.user["id"]], roles[member.user["id"]]) == ("admin", "owner")
    assert (await owner.post("/team/transfer-ownership", body)).code == "PERMISSION_DENIED"


async def test_members_are_listed_in_full(stack: Stack) -> None:
    owner = await stack.register()
    await stack.join(owner)
    email = stack.new_email()
    await owner.post("/team/invite", {"email": email, "role": "admin"})
    data = (await owner.get("/team/members")).data
    assert (data["total_members"], data["total_pending"]) == (2, 1)
    assert set(data["members"][0]) == {"id", "email", "full_name", "role", "email_verified", "created_at"}
    (pending,) = data["pending_invitations"]
    assert set(pending) == {"id", "email", "role", "invited_by", "expires_at", "created_at"}
    assert (pending["email"], pending["role"], pending["invited_by"]) == (email, "admin", owner.email)


async def test_a_removed_member_is_out_at_once_and_the_keys_stay(stack: Stack) -> None:
    owner = await stack.register()
    member = await stack.join(owner)
    key = (await member.post("/keys", {"name": "server"})).data
    assert (await owner.delete(f"/team/members/{member.user['id']}")).status == 200
    assert (await member.get("/auth/me")).code == "INVALID_TOKEN"
    (listed,) = (await owner.get("/keys")).data["keys"]
    assert (listed["id"], listed["is_active"], listed["is_orphaned"]) == (key["id"], True, True)
    login = await stack.visitor().post("/auth/login", {"email": member.email, "password": member.password})
    assert login.code == "PERMISSION_DENIED"
    assert (await owner.delete(f"/team/members/{member.user['id']}")).code == "NOT_FOUND"
    await stack.work()
    assert any("removed" in mail.subject for mail in stack.mails(member.email))


async def test_a_removed_member_can_be_invited_anew(stack: Stack) -> None:
    owner = await stack.register()
    member = await stack.join(owner)
    await owner.delete(f"/team/members/{member.user['id']}")
    _, token = await stack.invite(owner, email=member.email)
    body = {"token": token, "password": member.password}
    data = (await stack.visitor().post("/team/accept-invitation", body)).data
    assert data["user"]["id"] != member.user["id"]
    assert (await owner.get("/team/members")).data["total_members"] == 2


async def test_owners_and_fellow_admins_are_safe_from_admins_and_owners_from_all(stack: Stack) -> None:
    owner = await stack.register()
    admin, second, partner = await stack.join(owner, "admin"), await stack.join(owner, "admin"), await stack.join(owner)
    assert (await owner.put(f"/team/members/{partner.user['id']}/role", {"role": "owner"})).status == 200
    for target in (owner, second):
        assert (await admin.delete(f"/team/members/{target.user['id']}")).code == "PERMISSION_DENIED"
    assert (await owner.delete(f"/team/members/{partner.user['id']}")).code == "PERMISSION_DENIED"
    assert (await owner.delete(f"/team/members/{second.user['id']}")).status == 200


async def test_nobody_changes_oneself_and_the_last_owner_stays(stack: Stack) -> None:
    owner = await stack.register()
    admin, partner = await stack.join(owner, "admin"), await stack.join(owner)
    own = f"/team/members/{owner.user['id']}"
    assert (await owner.put(f"{own}/role", {"role": "admin"})).code == "LAST_OWNER"
    assert (await owner.delete(own)).code == "LAST_OWNER"
    assert (await owner.post("/team/leave")).code == "LAST_OWNER"
    assert (await admin.delete(f"/team/members/{admin.user['id']}")).code == "PERMISSION_DENIED"
    await owner.put(f"/team/members/{partner.user['id']}/role", {"role": "owner"})
    assert (await owner.put(f"{own}/role", {"role": "admin"})).code == "PERMISSION_DENIED"
    assert (await owner.post("/team/leave")).status == 200
    assert (await owner.get("/auth/me")).code == "INVALID_TOKEN"
    assert (await partner.post("/team/leave")).code == "LAST_OWNER"
    assert (await admin.post("/team/leave")).status == 200


async def test_a_demotion_acts_on_the_next_request(stack: Stack) -> None:
    owner = await stack.register()
    admin = await stack.join(owner, "admin")
    changed = await owner.put(f"/team/members/{admin.user['id']}/role", {"role": "member"})
    assert changed.data["user"]["role"] == "member"
    assert (await admin.post("/team/invite", {"email": stack.new_email()})).code == "PERMISSION_DENIED"


async def test_two_owners_demoting_each_other_leave_one(stack: Stack) -> None:
    for _ in range(15):
        first = await stack.register()
        second = await stack.join(first)
        await first.put(f"/team/members/{second.user['id']}/role", {"role": "owner"})
        replies = await asyncio.gather(
            first.put(f"/team/members/{second.user['id']}/role", {"role": "member"}),
            second.put(f"/team/members/{first.user['id']}/role", {"role": "member"}),
        )
        assert sorted(reply.code for reply in replies) == ["OK", "PERMISSION_DENIED"]
        roles = sorted(each["role"] for each in (await first.get("/team/members")).data["members"])
        assert roles == ["member", "owner"]


async def test_two_owners_leaving_at_once_leave_one(stack: Stack) -> None:
    for _ in range(10):
        first = await stack.register()
        second = await stack.join(first)
        await first.put(f"/team/members/{second.user['id']}/role", {"role": "owner"})
        replies = await asyncio.gather(first.post("/team/leave"), second.post("/team/leave"))
        assert sorted(reply.code for reply in replies) == ["LAST_OWNER", "OK"]


async def test_another_organizations_people_do_not_exist(stack: Stack) -> None:
    owner, stranger = await stack.register(), await stack.register()
    theirs = stranger.user["id"]
    made = (await stranger.post("/team/invite", {"email": stack.new_email()})).data["invitation_id"]
    for reply in (
        await owner.delete(f"/team/members/{theirs}"),
        await owner.put(f"/team/members/{theirs}/role", {"role": "member"}),
        await owner.post("/team/transfer-ownership", {"user_id": theirs}),
        await owner.delete(f"/team/invitations/{made}"),
        await owner.post(f"/team/invitations/{made}/resend"),
        await owner.delete("/team/members/not-an-id"),
    ):
        assert (reply.status, reply.code) == (404, "NOT_FOUND")
    assert (await stranger.get("/team/members")).data["total_pending"] == 1


async def test_every_change_of_the_team_is_in_the_audit_trail_with_who_and_from_where(stack: Stack) -> None:
    owner = await stack.register()
    member = await stack.join(owner)
    reply = await owner.put(f"/team/members/{member.user['id']}/role", {"role": "admin"})
    ((actor, address, after),) = stack.rows(
        "select actor_id::text, client_address, after from audit.events where organization_id = %s and request_id = %s"
        " and table_name = 'tenancy.users'", owner.organization["id"], reply.response.headers["x-request-id"],
    )  # fmt: skip
    assert (actor, address, after) == (owner.user["id"], owner.network, {"role": "admin"})


async def test_the_organization_is_renamed_by_its_owner(stack: Stack) -> None:
    owner = await stack.register("Old")
    assert (await owner.put("/organization", {"name": "New"})).data["name"] == "New"
    assert (await owner.get("/organization")).data["name"] == "New"
    assert (await owner.put("/organization", {"name": " "})).code == "VALIDATION_ERROR"
