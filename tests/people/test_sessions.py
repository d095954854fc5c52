"""Sessions end at once, on every process; the password and its reset end them too."""

import asyncio

from tests.stack import Stack
from tests.visitors import PASSWORD, Person, Visitor

NEW = "another-umbrella-43"


async def log_in(stack: Stack, person: Person, password: str = PASSWORD) -> Visitor:
    visitor = stack.visitor()
    visitor.token = (await visitor.post("/auth/login", {"email": person.email, "password": password})).data["token"]
    return visitor


async def test_a_log_out_is_refused_by_every_process(stack: Stack) -> None:
    person = await stack.register(verified=False)
    async with stack.second_process() as other:
        elsewhere = stack.visitor(other)
        elsewhere.token = person.token
        assert (await elsewhere.get("/auth/me")).status == 200
        assert (await person.post("/auth/logout")).status == 200
        assert (await elsewhere.get("/auth/me")).code == "INVALID_TOKEN"
    assert (await person.get("/auth/me")).code == "INVALID_TOKEN"


async def test_sessions_are_listed_with_device_and_time_and_end_one_by_one(stack: Stack) -> None:
    person = await stack.register(verified=False)
    phone = await log_in(stack, person)
    listed = (await phone.get("/auth/sessions", User_Agent="Firefox on Linux")).data["sessions"]
    assert [each["is_current"] for each in listed].count(True) == 1
    assert set(listed[0]) == {
        "id", "organization_id", "user_agent", "address", "created_at", "last_seen_at", "expires_at", "is_current",
    }  # fmt: skip
    assert {each["address"] for each in listed} == {person.network, phone.network}
    (first,) = [each["id"] for each in listed if each["address"] == person.network]
    assert (await phone.delete(f"/auth/sessions/{first}")).status == 200
    assert (await person.get("/auth/me")).code == "INVALID_TOKEN"
    assert (await phone.get("/auth/me")).status == 200
    assert (await phone.delete(f"/auth/sessions/{first}")).code == "NOT_FOUND"


async def test_a_strangers_session_cannot_be_seen_or_ended(stack: Stack) -> None:
    person, stranger = await stack.register(verified=False), await stack.register(verified=False)
    (theirs,) = [each["id"] for each in (await stranger.get("/auth/sessions")).data["sessions"]]
    assert (await person.delete(f"/auth/sessions/{theirs}")).code == "NOT_FOUND"
    assert theirs not in (await person.get("/auth/sessions")).response.text
    assert (await stranger.get("/auth/me")).status == 200


async def test_logging_out_everywhere_ends_all(stack: Stack) -> None:
    person = await stack.register(verified=False)
    others = [await log_in(stack, person) for _ in range(3)]
    assert (await person.delete("/auth/sessions")).status == 200
    assert {(await each.get("/auth/me")).code for each in [person, *others]} == {"INVALID_TOKEN"}


async def test_a_session_lives_seven_days(stack: Stack) -> None:
    person = await stack.register(verified=False)
    stack.clock.turn(days=6, hours=23)
    try:
        assert (await person.get("/auth/me")).status == 200
        assert len((await person.get("/auth/sessions")).data["sessions"]) == 1
        stack.clock.turn(hours=2)
        assert (await person.get("/auth/me")).code == "INVALID_TOKEN"
    finally:
        stack.clock.ahead *= 0


async def test_a_visit_is_noted_in_the_list_of_sessions(stack: Stack) -> None:
    person = await stack.register(verified=False)
    stack.clock.turn(hours=1)
    try:
        await person.get("/auth/me")
        (listed,) = (await person.get("/auth/sessions")).data["sessions"]
    finally:
        stack.clock.ahead *= 0
    assert listed["last_seen_at"] > listed["created_at"]


async def test_switching_takes_the_session_along(stack: Stack) -> None:
    person = await stack.register("First", verified=False)
    body = {"organization_name": "Second", "email": person.email, "password": PASSWORD}
    second = (await stack.visitor().post("/auth/register", body)).data["organization"]["id"]
    reply = await person.post("/auth/switch-organization", {"organization_id": second})
    assert reply.data["organization"]["name"] == "Second"
    assert (await person.get("/auth/me")).code == "INVALID_TOKEN"
    person.token = reply.data["token"]
    assert (await person.get("/auth/me")).data["organization"]["id"] == second
    foreign = (await stack.register(verified=False)).organization["id"]
    assert (await person.post("/auth/switch-organization", {"organization_id": foreign})).code == "NOT_FOUND"
    assert (await person.get("/auth/me")).status == 200


async def test_one_session_switched_twice_at_once_stays_one(stack: Stack) -> None:
    person = await stack.register("First", verified=False)
    body = {"organization_id": person.organization["id"]}
    replies = await asyncio.gather(*(person.post("/auth/switch-organization", body) for _ in range(6)))
    assert sorted(reply.code for reply in replies).count("OK") == 1
    assert {reply.code for reply in replies} == {"OK", "INVALID_TOKEN"}


async def test_changing_the_password_ends_the_other_sessions_and_tells_the_owner(stack: Stack) -> None:
    person = await stack.register()
    other = await log_in(stack, person)
    wrong = {"current_password": NEW, "new_password": NEW}
    assert (await person.post("/auth/change-password", wrong)).code == "INVALID_CREDENTIALS"
    weak = await person.post("/auth/change-password", {"current_password": PASSWORD, "new_password": "password123"})
    assert weak.error["details"]["field"] == "new_password"
    assert (await other.get("/auth/me")).status == 200
    right = {"current_password": PASSWORD, "new_password": NEW}
    assert (await person.post("/auth/change-password", right)).status == 200
    assert (await person.get("/auth/me")).status == 200
    assert (await other.get("/auth/me")).code == "INVALID_TOKEN"
    await log_in(stack, person, NEW)
    await stack.work()
    assert any("password was changed" in mail.subject for mail in stack.mails(person.email))


async def test_of_two_changes_of_one_password_one_wins(stack: Stack) -> None:
    person = await stack.register(verified=False)
    bodies = [{"current_password": PASSWORD, "new_password": f"another-umbrella-{number}"} for number in (1, 2)]
    replies = await asyncio.gather(*(person.post("/auth/change-password", body) for body in bodies))
    assert sorted(reply.code for reply in replies) == ["INVALID_CREDENTIALS", "OK"]


async def ask_for_reset(stack: Stack, person: Person) -> str:
    assert (await stack.visitor().post("/auth/request-password-reset", {"email": person.email})).status == 200
    await stack.work()
    return stack.token_for(person.email, "/reset-password")


async def test_a_reset_is_answered_alike_for_known_and_unknown(stack: Stack) -> None:
    person = await stack.register()
    known = await stack.visitor().post("/auth/request-password-reset", {"email": person.email})
    stranger = stack.new_email()
    unknown = await stack.visitor().post("/auth/request-password-reset", {"email": stranger})
    assert known.response.content == unknown.response.content
    assert stack.rows("select count(*) from jobs.procrastinate_jobs where task_name = 'email.account_mail'") == [(2,)]
    await stack.work()
    assert stack.mails(stranger) == []
    assert stack.token_for(person.email, "/reset-password")
    assert stack.rows("select count(*) from jobs.procrastinate_jobs") == [(0,)]


async def test_a_reset_ends_all_sessions_proves_the_mailbox_and_does_not_log_in(stack: Stack) -> None:
    person = await stack.register(verified=False)
    token = await ask_for_reset(stack, person)
    reply = await stack.visitor().post("/auth/reset-password", {"token": token, "new_password": NEW})
    assert (reply.status, reply.data) == (200, None)
    assert (await person.get("/auth/me")).code == "INVALID_TOKEN"
    old = await stack.visitor().post("/auth/login", {"email": person.email, "password": PASSWORD})
    assert old.code == "INVALID_CREDENTIALS"
    fresh = await log_in(stack, person, NEW)
    assert (await fresh.get("/auth/me")).data["user"]["email_verified"] is True
    again = await stack.visitor().post("/auth/reset-password", {"token": token, "new_password": PASSWORD})
    assert again.code == "INVALID_TOKEN"


async def test_a_reset_used_twice_at_once_is_used_once(stack: Stack) -> None:
    person = await stack.register(verified=False)
    token = await ask_for_reset(stack, person)
    bodies = [{"token": token, "new_password": f"another-umbrella-{number}"} for number in range(5)]
    replies = await asyncio.gather(*(stack.visitor().post("/auth/reset-password", body) for body in bodies))
    assert sorted(reply.code for reply in replies) == ["INVALID_TOKEN"] * 4 + ["OK"]


async def test_a_weak_new_password_leaves_the_token_alive(stack: Stack) -> None:
    person = await stack.register(verified=False)
    token = await ask_for_reset(stack, person)
    weak = await stack.visitor().post("/auth/reset-password", {"token": token, "new_password": "password123"})
    assert weak.error["details"]["field"] == "new_password"
    assert (await stack.visitor().post("/auth/reset-password", {"token": token, "new_password": NEW})).status == 200


async def test_a_reset_expires_after_an_hour_and_a_newer_one_voids_it(stack: Stack) -> None:
    person = await stack.register(verified=False)
    older = await ask_for_reset(stack, person)
    newer = await ask_for_reset(stack, person)
    assert (
        await stack.visitor().post("/auth/reset-password", {"token": older, "new_password": NEW})
    ).code == "INVALID_TOKEN"
    stack.clock.turn(minutes=60, seconds=1)
    try:
        late = await stack.visitor().post("/auth/reset-password", {"token": newer, "new_password": NEW})
        assert late.code == "INVALID_TOKEN"
    finally:
        stack.clock.ahead *= 0


async def test_resets_of_one_address_have_a_limit_known_or_not(stack: Stack) -> None:
    person = await stack.register(verified=False)
    for email in (person.email, stack.new_email()):
        replies = [await stack.visitor().post("/auth/request-password-reset", {"email": email}) for _ in range(6)]
        assert [reply.code for reply in replies] == ["OK"] * 5 + ["RATE_LIMIT_EXCEEDED"]


async def test_a_log_in_under_way_does_not_outlive_a_reset(stack: Stack) -> None:
    for _ in range(10):
        person = await stack.register(verified=False)
        token = await ask_for_reset(stack, person)
        racing = [stack.visitor() for _ in range(2)]
        body = {"email": person.email, "password": PASSWORD}
        replies = await asyncio.gather(
            *(visitor.post("/auth/login", body) for visitor in racing),
            stack.visitor().post("/auth/reset-password", {"token": token, "new_password": NEW}),
        )
        assert replies[-1].status == 200
        live = stack.rows(
            "select count(*) from identity.sessions where account_id = (select id from identity.accounts"
            " where email_key = %s) and revoked_at is null", person.email,
        )  # fmt: skip
        assert live == [(0,)]


async def test_log_ins_and_log_outs_are_in_the_organizations_trail_with_who_and_from_where(stack: Stack) -> None:
    owner = await stack.register("First")
    member = await stack.join(owner)
    elsewhere = await stack.register("Elsewhere")
    login = await log_in(stack, member)
    await login.post("/auth/logout")
    await log_in(stack, elsewhere)
    found = (await owner.get("/audit/events?table=identity.sessions")).data["events"]
    assert [each["operation"] for each in found] == ["update", "insert", "insert", "insert"]
    assert [each["address"] for each in found] == [login.network, login.network, member.network, owner.network]
    assert [each["actor"]["id"] for each in found] == [member.user["id"]] * 3 + [owner.user["id"]]
    assert set(found[0]["after"]) == {"revoked_at"}


async def test_what_a_person_ends_in_another_organization_is_that_ones_act(stack: Stack) -> None:
    person = await stack.register("First", verified=False)
    body = {"organization_name": "Second", "email": person.email, "password": PASSWORD}
    second = stack.visitor()
    second.token = (await second.post("/auth/register", body)).data["token"]
    assert (await second.delete("/auth/sessions")).status == 200
    fresh = await log_in(stack, person)
    kept = {each["organization_id"] for each in (await fresh.get("/auth/sessions")).data["sessions"]}
    rows = "select operation, organization_id::text from audit.events where table_name = 'identity.sessions'"
    ended = [organization for operation, organization in stack.rows(rows) if operation == "update"]
    assert person.organization["id"] not in ended
    assert len(kept) == 1
