"""What a person is told about the safety of the account, once for each cause."""

import asyncio

from tests.stack import Stack
from tests.visitors import PASSWORD, Person, Visitor

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


async def notices(stack: Stack, email: str, words: str) -> list[str]:
    """The notices to an address whose subject holds these words, as text."""
    await stack.work()
    return [mail.part("plain") or "" for mail in stack.mails(email) if words in mail.subject]


def local(person: Person) -> str:
    """What of an address stands in a mail as it is: its dots are made unfit for links."""
    return person.email.partition("@")[0] + "@"


async def log_in(person: Person, visitor: Visitor, agent: str = FIREFOX) -> None:
    body = {"email": person.email, "password": PASSWORD}
    assert (await visitor.post("/auth/login", body, User_Agent=agent)).status == 200


async def test_a_log_in_from_an_unknown_device_is_told_with_device_and_address(stack: Stack) -> None:
    person, stranger = await stack.register(), stack.visitor()
    await log_in(person, stranger)
    (text,) = await notices(stack, person.email, "New log-in")
    assert "Firefox on Linux" in text
    assert stranger.network in text
    assert "/account" in text


async def test_what_is_known_is_not_told(stack: Stack) -> None:
    person, browser = await stack.register(), stack.visitor()
    await log_in(person, person, "python-httpx/99.1")  # a newer version of the one that registered
    person.cookies.clear()
    await log_in(person, browser)
    browser.network = stack.visitor().network
    await log_in(person, browser, "Something/1.0")  # the browser's own note tells who it is
    neighbour = stack.visitor()
    neighbour.network = browser.network.rpartition(".")[0] + ".200"
    await log_in(person, neighbour, "Something/2.0")  # the same kind of device in the same network
    assert len(await notices(stack, person.email, "New log-in")) == 1


async def test_going_on_in_another_organization_is_no_new_log_in(stack: Stack) -> None:
    person = await stack.register()
    body = {"organization_name": "Second", "email": person.email, "password": PASSWORD}
    second = (await person.post("/auth/register", body)).data["organization"]["id"]
    person.network = stack.visitor().network
    assert (await person.post("/auth/switch-organization", {"organization_id": second})).status == 200
    assert await notices(stack, person.email, "New log-in") == []


async def test_ten_log_ins_of_one_new_device_at_once_are_told_once(stack: Stack) -> None:
    person, stranger = await stack.register(), stack.visitor()
    body = {"email": person.email, "password": PASSWORD}
    visitors = [Visitor(stack.http, stranger.network) for _ in range(10)]
    replies = await asyncio.gather(*(each.post("/auth/login", body, User_Agent=FIREFOX) for each in visitors))
    assert [reply.code for reply in replies].count("OK") >= 3
    assert len(await notices(stack, person.email, "New log-in")) == 1


async def test_who_joins_another_team_from_elsewhere_is_told(stack: Stack) -> None:
    person = await stack.register()
    _, token = await stack.invite(await stack.register(), email=person.email)
    await stack.visitor().post("/team/accept-invitation", {"token": token, "password": PASSWORD}, User_Agent=FIREFOX)
    assert len(await notices(stack, person.email, "New log-in")) == 1


async def test_a_changed_role_is_told_to_the_person_each_time(stack: Stack) -> None:
    owner = await stack.register("Blue Heron")
    member = await stack.join(owner)
    path = f"/team/members/{member.user['id']}/role"
    await owner.put(path, {"role": "member"})
    assert await notices(stack, member.email, "role was changed") == []
    for role in ("admin", "member", "admin"):
        await owner.put(path, {"role": role})
        assert f"Role: {role}" in (await notices(stack, member.email, "role was changed"))[0]
    texts = await notices(stack, member.email, "role was changed")
    assert len(texts) == 3
    assert "Blue Heron" in texts[0]
    assert await notices(stack, owner.email, "new owner") == []


async def test_a_new_owner_is_told_to_every_owner(stack: Stack) -> None:
    owner = await stack.register()
    partner, member = await stack.join(owner), await stack.join(owner)
    await owner.put(f"/team/members/{partner.user['id']}/role", {"role": "owner"})
    assert local(partner) in (await notices(stack, owner.email, "new owner"))[0]
    await owner.post("/team/transfer-ownership", {"user_id": member.user["id"]})
    for each in (owner, partner):
        assert local(member) in (await notices(stack, each.email, "new owner"))[0]
    assert "Role: owner" in (await notices(stack, member.email, "role was changed"))[0]
    assert len(await notices(stack, owner.email, "new owner")) == 2
    assert await notices(stack, member.email, "new owner") == []


async def test_a_removal_and_a_changed_password_are_told_once(stack: Stack) -> None:
    owner = await stack.register()
    member = await stack.join(owner)
    await owner.delete(f"/team/members/{member.user['id']}")
    change = {"current_password": PASSWORD, "new_password": "another-umbrella-43"}
    await owner.post("/auth/change-password", change)
    assert len(await notices(stack, member.email, "removed")) == 1
    assert len(await notices(stack, owner.email, "password was changed")) == 1


async def test_a_refused_change_tells_nobody(stack: Stack) -> None:
    owner = await stack.register()
    admin = await stack.join(owner, "admin")
    for path in (f"/team/members/{owner.user['id']}/role", f"/team/members/{admin.user['id']}/role"):
        assert (await admin.put(path, {"role": "member"})).code == "PERMISSION_DENIED"
    assert await notices(stack, owner.email, "role") + await notices(stack, admin.email, "role") == []
