"""A mail as bytes: no text breaks out of its header, and a signature proves that nothing was changed."""

import email
import email.policy
from base64 import b64encode
from datetime import UTC, datetime
from email.message import EmailMessage
from uuid import UUID

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from jobs.providers.dkim_key import DkimKey
from jobs.providers.mail import Email, MailRefused, message_id, named
from jobs.providers.mime import compose, parse_mailbox
from jobs.providers.sandbox.mail import Mailbox
from tests.mail.conftest import Catch, Connect, mail_to

NOW = datetime(2026, 12, 1, 9, 41, tzinfo=UTC)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=150)


def read(mail: Email) -> EmailMessage:
    return email.message_from_bytes(compose(mail, NOW).content, policy=email.policy.default)


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "Hi\r\nBcc: all@evil.example"},
        {"subject": "Hi\nBcc: all@evil.example"},
        {"subject": "Hi\rBcc: all@evil.example"},
        {"subject": "Hi\u2028Bcc: all@evil.example"},
        {"recipient": "ada@heron.example\r\nRCPT TO:<all@evil.example>"},
        {"recipient": "ada@heron.example, all@evil.example"},
        {"recipient": "ada@heron.example> SIZE=1"},
        {"recipient": "Ada <ada@heron.example>"},
        {"recipient": ""},
        {"sender": "MTS\r\nBcc: all@evil.example <no-reply@mts.example>"},
        {"sender": "no-reply@mts.example, all@evil.example"},
        {"sender": "MTS <a@mts.example> <b@mts.example>"},
        {"reply_to": "ada@heron.example\nBcc: all@evil.example"},
        {"bounce_address": "a@mts.example> BODY=8BITMIME"},
        {"message_id": "<a@b>\r\nBcc: all@evil.example"},
        {"message_id": "a@b"},
        {"unsubscribe_url": "https://mts.example/u>, <mailto:x@evil.example"},
        {"unsubscribe_url": "https://mts.example/u\r\nBcc: all@evil.example"},
        {"headers": {"X-Kind": "a\r\nBcc: all@evil.example"}},
        {"headers": {"X-Kind\r\nBcc": "all@evil.example"}},
        {"headers": {"Bcc": "all@evil.example"}},
        {"headers": {"from": "eve@evil.example"}},
        {"headers": {"Content-Type": "text/html"}},
    ],
    ids=repr,
)
async def test_an_injection_is_refused_before_anything_is_sent(
    mailbox: Mailbox, catch: Catch, connect: Connect, changes: dict[str, object]
) -> None:
    with pytest.raises(MailRefused) as caught:
        await connect(await catch()).send(mail_to(**changes))  # type: ignore[arg-type]
    assert (caught.value.permanent, caught.value.stage) == (True, "composition")
    assert mailbox.find() == []


@given(WORDS)
def test_any_line_of_text_survives_as_the_subject(text: str) -> None:
    message = read(mail_to(subject=text))
    assert " ".join(str(message["Subject"]).split()) == " ".join(text.split())
    assert [name for name in message if name.lower() in {"bcc", "cc", "to"}] == ["To"]


@given(WORDS)
def test_any_name_is_one_mailbox_and_no_more(name: str) -> None:
    message = read(mail_to(sender=named(name, "no-reply@mts.example"), reply_to=named(name, "ada@heron.example")))
    for header, address in (("From", "no-reply@mts.example"), ("Reply-To", "ada@heron.example")):
        assert [mailbox.addr_spec for mailbox in message[header].addresses] == [address]
    assert parse_mailbox(named(name, "a@b.example")) == (" ".join(name.split()), "a@b.example")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=2000))
def test_content_is_seven_bit_and_never_ends_the_mail_early(text: str) -> None:
    content = compose(mail_to(text=text, html=f"<p>{text}</p>"), NOW).content
    assert content.isascii()
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert b"\r" not in content.replace(b"\r\n", b"")
    assert max(map(len, content.split(b"\r\n"))) <= 998


def test_a_message_id_needs_the_senders_domain() -> None:
    with pytest.raises(ValueError):
        message_id(UUID(int=0), "nobody")


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def signer(key: rsa.RSAPrivateKey) -> DkimKey:
    form, clear = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return DkimKey("mts.example", "s2026", key.private_bytes(serialization.Encoding.PEM, form, clear))


def is_signed(content: bytes, key: rsa.RSAPrivateKey) -> bool:
    """What a receiver finds with the key that is published in the DNS."""
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; k=rsa; p=" + b64encode(der)
    asked: list[bytes] = []

    def published(name: bytes, timeout: float = 5) -> bytes:
        asked.append(name)
        return record

    result = bool(dkim.verify(content, dnsfunc=published))
    assert asked == [b"s2026._domainkey.mts.example."]
    return result


async def test_a_signed_mail_verifies_where_it_arrives(
    mailbox: Mailbox, catch: Catch, connect: Connect, signer: DkimKey, key: rsa.RSAPrivateKey
) -> None:
    mail = mail_to(subject="Grüße " * 20, unsubscribe_url="https://mts.example/u/1", text=".\n..\n héllo \n\n\n")
    await connect(await catch(), dkim=signer).send(mail)
    (caught,) = mailbox.find()
    assert is_signed(caught.raw, key)
    signed = str(dict(caught.headers)["DKIM-Signature"])
    for header in ("from", "to", "subject", "date", "message-id", "list-unsubscribe", "list-unsubscribe-post"):
        assert f"{header} :" in signed or f": {header}" in signed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Your invoice", b"Your refund!"),
        (b"Hello Ada", b"Hello Eve"),
        (b"no-reply@mts", b"no-reply@mtz"),
        (b"To: ada", b"To: eve"),
        (b"Subject:", b"Subject: Another\r\nSubject:"),
        (b"List-Unsubscribe: <https://mts", b"List-Unsubscribe: <https://evil"),
        (b"MIME-Version", b"Reply-To: eve@evil.example\r\nMIME-Version"),
        (b"From:", b"From: eve@evil.example\r\nFrom:"),
    ],
)
def test_a_changed_mail_does_not_verify(signer: DkimKey, key: rsa.RSAPrivateKey, old: bytes, new: bytes) -> None:
    content = signer.signed(compose(mail_to(unsubscribe_url="https://mts.example/u"), NOW).content)
    assert is_signed(content, key)
    assert not is_signed(content.replace(old, new), key)


def test_a_broken_signing_key_is_found_at_the_start() -> None:
    with pytest.raises(ValueError, match="PEM"):
        DkimKey("mts.example", "s2026", b"not a key")
