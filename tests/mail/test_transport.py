"""What the transport promises, shown against a real SMTP server that can go wrong in every way."""

import asyncio
import time
from collections.abc import Callable
from uuid import UUID

import pytest

from jobs.providers.errors import ProviderUnavailable
from jobs.providers.mail import MailRefused, MailUnavailable, MailUncertain, message_id
from jobs.providers.sandbox.mail import Mailbox, MailFault
from tests.mail.conftest import SENDER, Catch, Connect, mail_to


async def test_a_mail_arrives_as_it_was_sent(mailbox: Mailbox, catch: Catch, connect: Connect) -> None:
    await connect(await catch()).send(mail_to(reply_to='"Obi, Ada" <ada@heron.example>'))
    (caught,) = mailbox.find()
    assert (caught.sender, caught.recipients) == ("no-reply@mts.example", ("ada@heron.example",))
    assert caught.subject == "Your invoice for November"
    assert caught.part("plain") == "Hello Ada,\n\n.\n..dots\n\nBye\n"
    assert caught.part("html") == "<p>Hello Ada</p>\n"
    headers = dict(caught.headers)
    assert headers["From"] == "MTS <no-reply@mts.example>"
    assert headers["Reply-To"] == '"Obi, Ada" <ada@heron.example>'
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers["Date"].endswith("+0000")
    assert "List-Unsubscribe" not in headers


async def test_the_message_id_comes_from_the_outbox_row(mailbox: Mailbox, catch: Catch, connect: Connect) -> None:
    row = UUID("01938f7c-0000-7000-8000-000000000001")
    transport = connect(await catch())
    await transport.send(mail_to(outbox_id=row))
    await transport.send(mail_to(outbox_id=row))
    ids = {dict(mail.headers)["Message-ID"] for mail in mailbox.find()}
    assert ids == {"<01938f7c-0000-7000-8000-000000000001@mts.example>"} == {message_id(row, SENDER)}


async def test_bounces_and_unsubscriptions_have_their_own_way_back(
    mailbox: Mailbox, catch: Catch, connect: Connect
) -> None:
    url = "https://mts.example/unsubscribe/" + "t" * 300
    mail = mail_to(bounce_address="bounce+01938f7c@mts.example", unsubscribe_url=url, headers={"X-Kind": "usage_alert"})
    await connect(await catch()).send(mail)
    (caught,) = mailbox.find()
    assert caught.sender == "bounce+01938f7c@mts.example"
    headers = dict(caught.headers)
    assert headers["List-Unsubscribe"] == f"<{url}>"
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["X-Kind"] == "usage_alert"


async def test_connections_are_shared_and_no_more_than_allowed(
    mailbox: Mailbox, catch: Catch, connect: Connect
) -> None:
    catcher = await catch()
    transport = connect(catcher, connections=2)
    mailbox.faults.add(MailFault(kind="delay", at="content", seconds=0.02))
    await asyncio.gather(*(transport.send(mail_to(f"user{n}@heron.example")) for n in range(10)))
    assert len(mailbox.find()) == 10
    assert catcher.open_connections == 2
    await transport.close()
    await _until(lambda: catcher.open_connections == 0)


async def test_an_idle_connection_is_given_back(catch: Catch, connect: Connect) -> None:
    catcher = await catch()
    await connect(catcher, idle_seconds=0.05).send(mail_to())
    await _until(lambda: catcher.open_connections == 0)


async def test_a_restarted_server_is_not_noticed(mailbox: Mailbox, catch: Catch, connect: Connect) -> None:
    catcher = await catch()
    transport = connect(catcher)
    await transport.send(mail_to())
    await catcher.stop()
    await catch(port=catcher.port)
    await transport.send(mail_to())
    assert len(mailbox.find()) == 2


async def test_a_pooled_connection_that_dies_at_the_next_mail_costs_a_second_try_only(
    mailbox: Mailbox, catch: Catch, connect: Connect
) -> None:
    transport = connect(await catch())
    await transport.send(mail_to())
    mailbox.faults.add(MailFault(kind="drop", at="sender", times=1))
    await transport.send(mail_to())
    assert len(mailbox.find()) == 2


async def test_a_server_that_is_away_is_unavailable_and_used_again_when_back(
    mailbox: Mailbox, catch: Catch, connect: Connect
) -> None:
    catcher = await catch()
    transport = connect(catcher)
    await catcher.stop()
    with pytest.raises(MailUnavailable) as caught:
        await transport.send(mail_to())
    assert not caught.value.uncertain
    await catch(port=catcher.port)
    await transport.send(mail_to())
    assert len(mailbox.find()) == 1


@pytest.mark.parametrize("stage", ["sender", "recipient", "content"])
@pytest.mark.parametrize(("code", "is_permanent"), [(550, True), (451, False), (421, False)])
async def test_a_refusal_says_whether_another_try_is_worth_it(
    mailbox: Mailbox, catch: Catch, connect: Connect, stage: str, code: int, is_permanent: bool
) -> None:
    transport = connect(await catch())
    mailbox.faults.add(MailFault.model_validate({"kind": "refuse", "at": stage, "code": code, "times": 1}))
    with pytest.raises(MailRefused) as caught:
        await transport.send(mail_to())
    refusal = caught.value
    assert (refusal.permanent, refusal.code, refusal.stage) == (is_permanent, code, stage)
    assert mailbox.find() == []
    await transport.send(mail_to())
    assert len(mailbox.find()) == 1


async def test_a_refusal_of_data_is_a_refusal_of_the_content(mailbox: Mailbox, catch: Catch, connect: Connect) -> None:
    mailbox.faults.add(MailFault(kind="refuse", at="before_data", code=554))
    with pytest.raises(MailRefused) as caught:
        await connect(await catch()).send(mail_to())
    assert (caught.value.code, caught.value.stage) == (554, "content")


async def test_a_refused_mail_leaves_the_connection_clean_for_the_next(
    mailbox: Mailbox, catch: Catch, connect: Connect
) -> None:
    catcher = await catch()
    transport = connect(catcher, connections=1)
    mailbox.faults.add(MailFault(kind="refuse", recipient="gone@heron.example"))
    with pytest.raises(MailRefused):
        await transport.send(mail_to("gone@heron.example"))
    await transport.send(mail_to())
    (mail,) = mailbox.find()
    assert mail.recipients == ("ada@heron.example",)
    assert catcher.open_connections == 1


async def test_grey_listing_is_temporary_and_the_second_try_arrives(
    mailbox: Mailbox, catch: Catch, connect: Connect
) -> None:
    transport = connect(await catch())
    mailbox.faults.add(MailFault(kind="greylist"))
    with pytest.raises(MailRefused) as caught:
        await transport.send(mail_to())
    assert not caught.value.permanent
    await transport.send(mail_to())
    assert len(mailbox.find()) == 1


async def test_a_connection_lost_before_the_content_is_no_doubt(
    mailbox: Mailbox, catch: Catch, connect: Connect
) -> None:
    mailbox.faults.add(MailFault(kind="drop", at="before_data"))
    with pytest.raises(MailUnavailable) as caught:
        await connect(await catch()).send(mail_to())
    assert not isinstance(caught.value, MailUncertain)
    assert mailbox.find() == []


async def test_a_connection_lost_after_the_content_is_the_one_rare_duplicate(
    mailbox: Mailbox, catch: Catch, connect: Connect
) -> None:
    transport = connect(await catch())
    await transport.send(mail_to("warm@heron.example"))
    mailbox.faults.add(MailFault(kind="drop", at="content", times=1))
    mail = mail_to()
    with pytest.raises(MailUncertain) as caught:
        await transport.send(mail)
    assert isinstance(caught.value, ProviderUnavailable)
    assert caught.value.uncertain
    assert len(mailbox.find(to="ada@heron.example")) == 1, "never repeated by the transport itself"
    await transport.send(mail)
    assert {dict(copy.headers)["Message-ID"] for copy in mailbox.find(to="ada@heron.example")} == {mail.message_id}


async def test_silence_after_the_content_is_uncertain_too(mailbox: Mailbox, catch: Catch, connect: Connect) -> None:
    mailbox.faults.add(MailFault(kind="delay", at="content", seconds=30))
    with pytest.raises(MailUncertain):
        await connect(await catch(), timeout=0.2).send(mail_to())


async def test_silence_before_the_content_is_unavailability(mailbox: Mailbox, catch: Catch, connect: Connect) -> None:
    mailbox.faults.add(MailFault(kind="delay", at="recipient", seconds=30))
    with pytest.raises(MailUnavailable) as caught:
        await connect(await catch(), timeout=0.2).send(mail_to())
    assert not caught.value.uncertain


async def test_a_cancelled_mail_takes_its_connection_with_it(mailbox: Mailbox, catch: Catch, connect: Connect) -> None:
    catcher = await catch()
    transport = connect(catcher, connections=1)
    mailbox.faults.add(MailFault(kind="delay", at="recipient", seconds=30, times=1))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(transport.send(mail_to()), 0.1)
    await transport.send(mail_to("next@heron.example"))
    assert [mail.recipients for mail in mailbox.find()] == [("next@heron.example",)]


async def _until(is_so: Callable[[], bool], seconds: float = 5) -> None:
    """Give the loop turns until a condition holds."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.005)
