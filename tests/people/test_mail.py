"""The outbox: one mail for each cause, back-off for what may pass, an end for what will not."""

import re
from urllib.parse import urlsplit
from uuid import UUID

from db.types import Actor, OrganizationId, UserId
from jobs import email
from jobs.providers.sandbox.mail_faults import MailFault
from tests.stack import Stack
from tests.visitors import Person


def outbox(stack: Stack, person: Person) -> list[tuple[object, ...]]:
    return stack.rows(
        "select kind, status, attempts, error from messaging.emails where organization_id = %s order by kind",
        person.organization["id"],
    )


async def test_a_sent_mail_is_marked_and_its_message_id_is_its_rows(stack: Stack) -> None:
    person = await stack.register()
    assert outbox(stack, person) == [("welcome", "sent", 1, None)]
    ((row_id,),) = stack.rows("select id from messaging.emails where organization_id = %s", person.organization["id"])
    ids = {dict(mail.headers)["Message-ID"] for mail in stack.mails(person.email)}
    assert f"<{row_id}@mts.example>" in ids
    texts = [(mail.part("plain") or "", mail.part("html") or "") for mail in stack.mails(person.email)]
    assert all(plain and html for plain, html in texts)


async def test_one_cause_is_one_mail_and_a_further_step_another(stack: Stack) -> None:
    person = await stack.register()
    organization_id, user_id = OrganizationId(_id(person.organization)), UserId(_id(person.user))
    for step in (0, 0, 1):
        async with stack.resources.database.tenant(organization_id, Actor("system")) as tenant:
            await email.enqueue(tenant, "welcome", subject_id=user_id, recipient=person.email, step=step)
    await stack.work()
    assert [row[:2] for row in outbox(stack, person)] == [("welcome", "sent")] * 2


async def test_a_mail_asked_for_in_a_transaction_that_fails_is_not_sent(stack: Stack) -> None:
    person = await stack.register()
    organization_id, user_id = OrganizationId(_id(person.organization)), UserId(_id(person.user))
    try:
        async with stack.resources.database.tenant(organization_id, Actor("system")) as tenant:
            await email.enqueue(tenant, "welcome", subject_id=user_id, recipient=person.email, step=7)
            raise LookupError
    except LookupError:
        pass
    assert stack.rows("select count(*) from jobs.procrastinate_jobs") == [(0,)]
    assert len(outbox(stack, person)) == 1


async def test_what_the_server_cannot_take_now_comes_again(stack: Stack) -> None:
    stack.mailbox.faults.add(MailFault(kind="refuse", code=451, times=2))
    person = await stack.register(verified=False)
    await stack.work()
    assert stack.mails(person.email) == []
    assert [row[:3] for row in outbox(stack, person)] == [("welcome", "queued", 1)]
    await stack.work_again()
    assert [row[:3] for row in outbox(stack, person)] == [("welcome", "sent", 2)]
    assert len(stack.mails(person.email)) == 2
    assert (
        await person.post("/auth/verify-email", {"token": stack.token_for(person.email, "/verify-email")})
    ).status == 200


async def test_what_the_server_refuses_for_good_is_given_up_and_the_address_spared(stack: Stack) -> None:
    person = await stack.register()
    gone = stack.new_email()
    stack.mailbox.faults.add(MailFault(kind="refuse", code=550, recipient=gone))
    try:
        made = (await person.post("/team/invite", {"email": gone})).data["invitation_id"]
        await stack.work()
        assert outbox(stack, person)[0][:3] == ("invitation", "failed", 1)
        (await person.post(f"/team/invitations/{made}/resend")).data  # noqa: B018
        await stack.work()
    finally:
        stack.mailbox.faults.clear()
    assert sorted(str(row[1]) for row in outbox(stack, person)) == ["dropped", "failed", "sent"]
    assert stack.rows("select count(*) from jobs.procrastinate_jobs") == [(0,)]


async def test_mail_to_a_person_refused_for_good_is_given_up_too(stack: Stack) -> None:
    stack.mailbox.faults.add(MailFault(kind="refuse", code=550, times=2))
    person = await stack.register(verified=False)
    await stack.work()
    ((sent_at, error),) = stack.rows(
        "select m.sent_at, m.error from identity.account_mails m join identity.accounts a on a.id = m.account_id"
        " where a.email_key = %s", person.email,
    )  # fmt: skip
    assert sent_at is None
    assert error.startswith("550")
    assert stack.rows("select count(*) from jobs.procrastinate_jobs") == [(0,)]


async def test_an_answer_lost_after_the_content_is_the_rare_duplicate_with_one_message_id(stack: Stack) -> None:
    person = await stack.register()
    stack.mailbox.faults.add(MailFault(kind="drop", at="content", times=1))
    invited, _ = await _invite_through_a_fault(stack, person)
    ids = [dict(mail.headers)["Message-ID"] for mail in stack.mails(invited)]
    assert (len(ids), len(set(ids))) == (2, 1)


async def test_every_link_in_our_mail_leads_to_a_page(stack: Stack) -> None:
    owner = await stack.register()
    member = await stack.join(owner)
    await member.post("/keys", {"name": "server"})
    await owner.delete(f"/team/members/{member.user['id']}")
    await stack.visitor().post("/auth/request-password-reset", {"email": owner.email})
    taken = {"organization_name": "Taken", "email": owner.email, "password": "another-umbrella-43"}
    await stack.visitor().post("/auth/register", taken)
    await owner.post(
        "/auth/change-password", {"current_password": owner.password, "new_password": "another-umbrella-44"}
    )
    await stack.work()
    mails = [*stack.mails(owner.email), *stack.mails(member.email)]
    links = {urlsplit(url).path for mail in mails for url in re.findall(r"https?://\S+", mail.part("plain") or "")}
    assert len(links) >= 8, links
    answers = {path: (await stack.http.get(path)).status_code for path in links}
    assert {path: status for path, status in answers.items() if status not in (200, 303)} == {}


async def test_mail_that_nobody_wants_any_more_is_dropped(stack: Stack) -> None:
    person = await stack.register()
    gone = stack.new_email()
    made = (await person.post("/team/invite", {"email": gone})).data["invitation_id"]
    await person.delete(f"/team/invitations/{made}")
    await stack.work()
    assert outbox(stack, person)[0] == ("invitation", "dropped", 1, "no longer wanted")
    assert stack.mails(gone) == []


async def test_a_name_chosen_by_a_stranger_is_only_text_in_the_mail(stack: Stack) -> None:
    owner = await stack.register("Win a prize at https://evil.example now " + "x" * 100)
    invited, _ = await stack.invite(owner)
    (mail,) = stack.mails(invited)
    assert "https://evil.example" not in (mail.part("plain") or "") + (mail.part("html") or "") + mail.subject


async def _invite_through_a_fault(stack: Stack, inviter: Person) -> tuple[str, str]:
    invited = stack.new_email()
    await inviter.post("/team/invite", {"email": invited})
    await stack.work()
    await stack.work_again()
    return invited, stack.token_for(invited, "/accept-invitation")


def _id(thing: dict[str, str]) -> UUID:
    return UUID(thing["id"])
