"""SMS through Twilio's protocol: sending, asking, signed call-backs, and errors by what to do about them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl
from uuid import uuid4

import pytest

from jobs.providers.errors import ProviderUnavailable, SignatureError
from jobs.providers.sms import SmsReceipt, SmsRefused
from jobs.providers.twilio import TwilioSms, sign
from tests.providers.conftest import SENDER, TWILIO_SID, TWILIO_TOKEN, Control, get
from tests.providers.inbox import Inbox, Posted

TO = "+14155550100"


def received(provider: TwilioSms, inbox: Inbox, posted: Posted) -> SmsReceipt:
    return provider.parse_callback(f"{inbox.base}{posted.path}", parse_qsl(posted.body.decode()), posted.headers)


async def test_a_message_is_queued_sent_and_delivered(twilio_sms: TwilioSms, inbox: Inbox) -> None:
    message_id = uuid4()
    receipt = await twilio_sms.send(message_id, TO, "Hello", f"{inbox.base}/sms?message={message_id}")
    assert (receipt.status, receipt.segments) == ("queued", 1)
    posted = inbox.wait(2)
    assert posted[0].path == f"/sms?message={message_id}"
    assert [received(twilio_sms, inbox, call).status for call in posted] == ["sent", "delivered"]
    assert {received(twilio_sms, inbox, call).provider_id for call in posted} == {receipt.provider_id}
    assert (await twilio_sms.fetch(receipt.provider_id)).status == "delivered"


async def test_an_unreachable_number_fails_later(twilio_sms: TwilioSms, inbox: Inbox) -> None:
    receipt = await twilio_sms.send(uuid4(), "+14155550001", "Hello", f"{inbox.base}/sms")
    failed = received(twilio_sms, inbox, inbox.wait(2)[1])
    assert (failed.status, failed.error_code, failed.fault) == ("failed", "30003", "unreachable")
    assert (await twilio_sms.fetch(receipt.provider_id)).fault == "unreachable"


@pytest.mark.parametrize(
    ("to", "code", "fault"),
    [
        ("+15005550001", "21211", "invalid_number"),
        ("+15005550002", "21612", "unreachable"),
        ("+15005550003", "21408", "account"),
        ("+15005550004", "21610", "unsubscribed"),
        ("+15005550009", "21614", "invalid_number"),
        ("12", "21211", "invalid_number"),
    ],
)
async def test_a_refusal_says_what_to_do(twilio_sms: TwilioSms, to: str, code: str, fault: str) -> None:
    with pytest.raises(SmsRefused) as refused:
        await twilio_sms.send(uuid4(), to, "Hello", None)
    assert (refused.value.code, refused.value.fault) == (code, fault)


async def test_too_long_a_text_is_rejected_for_good(twilio_sms: TwilioSms) -> None:
    with pytest.raises(SmsRefused) as refused:
        await twilio_sms.send(uuid4(), TO, "x" * 1601, None)
    assert refused.value.fault == "rejected"


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("ж" * 70, 1),
        ("ж" * 71, 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
    ],
)
async def test_parts_are_counted_by_alphabet(twilio_sms: TwilioSms, text: str, segments: int) -> None:
    assert (await twilio_sms.send(uuid4(), TO, text, None)).segments == segments


async def test_a_wrong_token_is_the_accounts_fault(sandbox: str) -> None:
    provider = TwilioSms(TWILIO_SID, "wrong", SENDER, f"{sandbox}/twilio")
    with pytest.raises(SmsRefused) as refused:
        await provider.send(uuid4(), TO, "Hello", None)
    assert refused.value.fault == "account"
    await provider.close()


async def test_a_message_whose_answer_was_lost_is_found_and_not_sent_again(
    twilio_sms: TwilioSms, control: Control
) -> None:
    since = datetime.now(UTC)
    earlier = await twilio_sms.send(uuid4(), TO, "Your code is 1", None)
    control("twilio", lose_next=1)
    with pytest.raises(ProviderUnavailable) as lost:
        await twilio_sms.send(uuid4(), TO, "Your code is 2", None)
    assert lost.value.uncertain
    found = await twilio_sms.find(uuid4(), TO, "Your code is 2", since)
    assert found is not None
    assert found.provider_id != earlier.provider_id
    assert await twilio_sms.find(uuid4(), TO, "Your code is 2", since, {found.provider_id}) is None
    assert await twilio_sms.find(uuid4(), TO, "Your code is 3", since) is None
    assert await twilio_sms.find(uuid4(), TO, "Your code is 2", since + timedelta(hours=1)) is None


async def test_a_message_that_never_left_is_certain(twilio_sms: TwilioSms, control: Control) -> None:
    provider = TwilioSms(TWILIO_SID, TWILIO_TOKEN, SENDER, "http://127.0.0.1:9", retries=0)
    with pytest.raises(ProviderUnavailable) as unavailable:
        await provider.send(uuid4(), TO, "Hello", None)
    assert not unavailable.value.uncertain
    await provider.close()
    control("twilio", fail_next=1, status=429, retry_after=3)
    with pytest.raises(ProviderUnavailable) as busy:
        await twilio_sms.send(uuid4(), TO, "Hello", None)
    assert (busy.value.uncertain, busy.value.retry_after) == (False, 3)


FORM: Sequence[tuple[str, str]] = [
    ("MessageSid", "SM1"),
    ("MessageStatus", "delivered"),
    ("To", "+14155550100"),
    ("From", "+15005550006"),
]


def test_the_documented_example_has_the_documented_signature() -> None:
    """The worked example of Twilio's own validator tests."""
    form = [
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675309"),
        ("Digits", "1234"),
        ("From", "+14158675309"),
        ("To", "+18005551212"),
    ]
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert sign(url, form, "12345") == b"RSOYDt4T1cUTdK1PDd93/VVr8B8="


@pytest.mark.parametrize("called", ["https://a.example.org/sms?m=1", "https://a.example.org:443/sms?m=1"])
def test_the_standard_port_may_be_in_the_signed_address(called: str) -> None:
    provider = TwilioSms(TWILIO_SID, TWILIO_TOKEN, SENDER, "https://api.twilio.com")
    headers = {"X-Twilio-Signature": sign(called, FORM, TWILIO_TOKEN).decode()}
    assert provider.parse_callback("https://a.example.org/sms?m=1", FORM, headers).status == "delivered"


def test_anything_else_is_refused() -> None:
    provider = TwilioSms(TWILIO_SID, TWILIO_TOKEN, SENDER, "https://api.twilio.com")
    url = "https://a.example.org/sms?m=1"
    good = {"x-twilio-signature": sign(url, FORM, TWILIO_TOKEN).decode()}
    forged = [*FORM[:1], ("MessageStatus", "failed"), *FORM[2:]]
    cases = [(url, FORM, {}), (url, FORM, {"x-twilio-signature": "é"}), (url, forged, good), (f"{url}2", FORM, good)]
    for address, form, headers in cases:
        with pytest.raises(SignatureError):
            provider.parse_callback(address, form, headers)
    nothing = {"x-twilio-signature": sign(url, [], TWILIO_TOKEN).decode()}
    with pytest.raises(SignatureError) as malformed:
        provider.parse_callback(url, [], nothing)
    assert malformed.value.fault == "malformed"


async def test_the_texts_can_be_read(sandbox: str, twilio_sms: TwilioSms) -> None:
    await twilio_sms.send(uuid4(), TO, "<b>Hello</b>", None)
    page = get(f"{sandbox}/twilio/messages").text
    assert "&lt;b&gt;Hello&lt;/b&gt;" in page
