"""What the transport refuses, encrypts and keeps to itself: sizes, addresses, TLS, passwords, pace."""

import asyncio
import ssl
import time

import pytest

from jobs.providers.mail import MailRefused, MailUnavailable
from jobs.providers.pace import PerSecond
from jobs.providers.sandbox.mail import Mailbox
from jobs.providers.smtp import SmtpTransport
from jobs.providers.smtp_url import parse_smtp_url
from tests.mail.conftest import Catch, Connect, mail_to


async def test_a_mail_that_is_too_large_is_refused_for_good(mailbox: Mailbox, catch: Catch, connect: Connect) -> None:
    with pytest.raises(MailRefused) as caught:
        await connect(await catch(size=50_000)).send(mail_to(text="x" * 60 * 1000))
    assert (caught.value.permanent, caught.value.code) == (True, 552)


async def test_internationalised_addresses_travel(mailbox: Mailbox, catch: Catch, connect: Connect) -> None:
    transport = connect(await catch())
    await transport.send(
        mail_to("jörg@bücher.example", subject="Grüße", sender='"Bücher, Söhne" <post@bücher.example>')
    )
    await transport.send(mail_to("ada@straße.example"))
    plain, wide = mailbox.find()
    assert wide.recipients == ("jörg@xn--bcher-kva.example",)
    assert wide.subject == "Grüße"
    assert dict(wide.headers)["From"] == '"Bücher, Söhne" <post@xn--bcher-kva.example>'
    assert plain.recipients == ("ada@xn--strae-oqa.example",)
    assert plain.raw.isascii()


async def test_a_server_without_smtputf8_gets_ascii_mail_only(mailbox: Mailbox, catch: Catch, connect: Connect) -> None:
    transport = connect(await catch(takes_utf8=False))
    with pytest.raises(MailRefused) as caught:
        await transport.send(mail_to("jörg@heron.example"))
    assert (caught.value.permanent, caught.value.stage) == (True, "composition")
    await transport.send(mail_to("jo@bücher.example", subject="Grüße"))
    assert mailbox.find()[0].subject == "Grüße"


@pytest.mark.parametrize(("scheme", "protection"), [("smtps", "tls"), ("smtp+starttls", "starttls")])
async def test_mail_and_log_in_are_encrypted(
    mailbox: Mailbox,
    catch: Catch,
    connect: Connect,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
    scheme: str,
    protection: str,
) -> None:
    catcher = await catch(protection=protection, tls=server_tls, users={"mts@mail": "p@ss/wörd"})
    transport = connect(catcher, scheme, "mts%40mail:p%40ss%2Fw%C3%B6rd@", tls=client_tls)
    await transport.send(mail_to())
    assert len(mailbox.find()) == 1


async def test_an_unknown_certificate_is_not_trusted(
    catch: Catch, connect: Connect, server_tls: ssl.SSLContext
) -> None:
    for scheme, protection in (("smtps", "tls"), ("smtp+starttls", "starttls")):
        catcher = await catch(protection=protection, tls=server_tls)
        with pytest.raises(MailUnavailable, match=r"(?i)certificate"):
            await connect(catcher, scheme).send(mail_to())


async def test_encryption_is_never_given_up_silently(mailbox: Mailbox, catch: Catch, connect: Connect) -> None:
    with pytest.raises(MailUnavailable, match="STARTTLS"):
        await connect(await catch(), "smtp+starttls").send(mail_to())
    assert mailbox.find() == []


async def test_a_wrong_password_keeps_the_mail_for_later(
    catch: Catch, connect: Connect, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    catcher = await catch(protection="tls", tls=server_tls, users={"mts": "right"})
    with pytest.raises(MailUnavailable) as caught:
        await connect(catcher, "smtps", "mts:wrong@", tls=client_tls).send(mail_to())
    assert "wrong" not in str(caught.value)


async def test_the_pace_of_a_provider_is_kept(mailbox: Mailbox, catch: Catch, connect: Connect) -> None:
    transport = connect(await catch(), pace=PerSecond(50))
    began = time.monotonic()
    await asyncio.gather(*(transport.send(mail_to()) for _ in range(6)))
    assert time.monotonic() - began >= 5 / 50
    assert len(mailbox.find()) == 6


@pytest.mark.parametrize(
    "url",
    [
        "http://a",
        "smtp://",
        "smtp://user:secret@mail.example",
        "smtp://a:port",
        "",
        "smtps://user:secret@:465",
        "smtps://user:secret/1@mail.example",
    ],
)
def test_a_wrong_smtp_url_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        SmtpTransport(url)
    assert "secret" not in str(caught.value)


def test_the_password_is_in_no_representation() -> None:
    address = parse_smtp_url("smtps://user:s%20cret@mail.example")
    assert (address.port, address.username, address.password) == (465, "user", "s cret")
    assert "cret" not in repr(address)
    assert "ada" not in repr(mail_to())


async def test_an_error_names_no_recipient(mailbox: Mailbox, catch: Catch, connect: Connect) -> None:
    error = MailRefused(
        permanent=True, code=550, reason="5.1.1 <ada@heron.example>: no such\r\nuser", stage="recipient"
    )
    assert str(error) == "550 at recipient: 5.1.1 <(address)>: no such user"
