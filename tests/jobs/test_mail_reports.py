"""What comes back to a mail's own return address marks that mail and its recipient, and nobody else's."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from db.types import OrganizationId
from jobs.providers.mail_reports import read, return_address, signed
from jobs.providers.sandbox.mail_store import CaughtMail
from jobs.resources import open_resources
from jobs.seals import opened, seal
from jobs.worker import work
from tests.stack import Stack, serving
from tests.visitors import Person

pytestmark = pytest.mark.timeout(60)
SECRET = SecretStr("a secret of the mail server's")
DOMAIN = "bounces.mts.example"


@dataclass
class Post:
    """The product with a domain for what comes back, and a mail server that hands it over."""

    stack: Stack
    http: httpx.AsyncClient

    async def send(self, owner: Person, to: str) -> tuple[str, CaughtMail]:
        """A customer's mail on its way: its public id, and the mail as it was caught."""
        key = (await owner.post("/keys", {"name": "test"})).data["key"]
        body = {"to": to, "type": "email", "message": "Hello"}
        sent = (await self.stack.visitor().post("/messages/send", body, X_API_Key=key)).data
        await self.work()
        return sent["message_id"], self.stack.mails(to)[0]

    async def work(self) -> None:
        """Run the worker until no job is waiting."""
        settings = self.stack.worker_settings.model_copy(update=_UPDATE)
        async with open_resources(settings, self.stack.clock) as resources:
            await work(resources, self.stack.urls.worker, wait=False, periodic=False)

    async def hand_over(self, raw: bytes, signature: str | None = None) -> httpx.Response:
        """Post a report as the mail server does."""
        signature = signed(SECRET, raw, self.stack.clock.now()) if signature is None else signature
        return await self.http.post("/api/v1/webhooks/mail", content=raw, headers={"X-Signature": signature})


_UPDATE = {"bounce_domain": DOMAIN, "mail_webhook_secret": SECRET}


@pytest.fixture
async def post(stack: Stack) -> AsyncIterator[Post]:
    """The product, told where its mail comes back to."""
    async with serving(stack.settings.model_copy(update=_UPDATE), stack.clock) as (http, _):
        yield Post(stack, http)


def bounce(to: str, *, action: str = "failed", status: str = "5.1.1") -> bytes:
    """A delivery status notification as Postfix writes it."""
    return f"""From: MAILER-DAEMON@mx.example.com
To: {to}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

I'm sorry to have to inform you that your message could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; somebody@example.com
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 5.1.1 User unknown
--b--
""".replace("\n", "\r\n").encode()


def complaint(return_to: str) -> bytes:
    """A feedback report as mailbox providers send it."""
    return f"""From: fbl@example.com
To: abuse@mts.example
Subject: complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
Version: 1
Original-Mail-From: <{return_to}>
--b--
""".replace("\n", "\r\n").encode()


async def _shown(post: Post, owner: Person, message_id: str) -> tuple[str, str | None]:
    key = (await owner.post("/keys", {"name": "test"})).data["key"]
    found = (await post.stack.visitor().get(f"/messages/{message_id}", X_API_Key=key)).data
    return found["status"], found["error"]


async def _listed(owner: Person) -> list[tuple[str, str]]:
    entries = (await owner.get("/suppressions")).data["suppressions"]
    return [(entry["recipient"], entry["source"]) for entry in entries]


async def test_a_bounce_fails_the_message_and_suppresses_its_recipient(post: Post) -> None:
    owner, stranger = await post.stack.register(), await post.stack.register()
    message_id, mail = await post.send(owner, "Gone@example.com")
    assert mail.sender.endswith(f"@{DOMAIN}")
    assert len(mail.sender.partition("@")[0]) == 64
    for _ in range(2):
        assert (await post.hand_over(bounce(mail.sender))).status_code == 200
    assert await _shown(post, owner, message_id) == ("failed", "came back: 5.1.1")
    assert await _listed(owner) == [("gone@example.com", "bounce")]
    assert await _listed(stranger) == []


@pytest.mark.parametrize(
    ("action", "status", "becomes", "suppressed"),
    [("delayed", "4.4.1", "sent", 0), ("failed", "5.2.2", "failed", 0), ("failed", "5.7.1", "failed", 0),
     ("failed", "5.1.10", "failed", 1), ("failed", "5.2.1", "failed", 1), ("delivered", "2.0.0", "sent", 0)],
)  # fmt: skip
async def test_only_a_mailbox_that_is_gone_is_suppressed(
    post: Post, action: str, status: str, becomes: str, suppressed: int
) -> None:
    owner = await post.stack.register()
    message_id, mail = await post.send(owner, f"{uuid4().hex}@example.com")
    assert (await post.hand_over(bounce(mail.sender, action=action, status=status))).status_code == 200
    assert (await _shown(post, owner, message_id))[0] == becomes
    assert len(await _listed(owner)) == suppressed


async def test_a_complaint_suppresses_and_the_message_stays_sent(post: Post) -> None:
    owner = await post.stack.register()
    message_id, mail = await post.send(owner, "angry@example.com")
    assert (await post.hand_over(complaint(mail.sender))).status_code == 200
    assert await _shown(post, owner, message_id) == ("sent", None)
    assert await _listed(owner) == [("angry@example.com", "complaint")]


async def test_a_bounce_of_the_products_own_mail_stops_it_too(post: Post) -> None:
    owner = await post.stack.register()
    (await owner.post("/keys", {"name": "first"})).data  # noqa: B018
    await post.work()
    mail = next(mail for mail in post.stack.mails(owner.email) if mail.sender.endswith(DOMAIN))
    assert (await post.hand_over(bounce(mail.sender.upper()))).status_code == 200
    seen = len(post.stack.mails(owner.email))
    (await owner.post("/keys", {"name": "second"})).data  # noqa: B018
    await post.work()
    assert len(post.stack.mails(owner.email)) == seen


async def test_a_report_without_the_mail_servers_signature_is_refused(post: Post) -> None:
    owner = await post.stack.register()
    _, mail = await post.send(owner, "kept@example.com")
    raw, now = bounce(mail.sender), post.stack.clock.now()
    right = signed(SECRET, raw, now)
    changed = right[:-1] + ("0" if right[-1] != "0" else "1")
    old, other = signed(SECRET, raw, now - timedelta(minutes=6)), signed(SECRET, raw + b" ", now)
    for wrong in ("", "t=1,v1=0", changed, old, other, signed(SecretStr("x" * 16), raw, now)):
        assert (await post.hand_over(raw, wrong)).status_code == 400
    assert await _listed(owner) == []


async def test_a_return_address_that_we_did_not_make_is_forgotten(post: Post) -> None:
    owner = await post.stack.register()
    organization_id = OrganizationId(UUID(owner.organization["id"]))
    forged = return_address(SecretStr("z" * 32), DOMAIN, "message", organization_id, uuid4())
    unknown = return_address(post.stack.settings.jwt_secret, DOMAIN, "message", organization_id, uuid4())
    for address in (forged, unknown, "postmaster@mts.example"):
        assert (await post.hand_over(bounce(address))).status_code == 200
    assert await _listed(owner) == []


async def test_without_a_secret_there_is_no_such_endpoint(stack: Stack) -> None:
    answer = await stack.http.post("/api/v1/webhooks/mail", content=bounce("x@example.com"))
    assert answer.status_code == 404


@given(st.binary(max_size=2000))
def test_whatever_is_handed_over_is_read_without_an_error(raw: bytes) -> None:
    assert read(SECRET, raw) is None


@given(st.uuids(), st.uuids(), st.sampled_from(["unsubscribe", "return email"]), st.integers(4, 32))
def test_a_seal_opens_for_its_purpose_alone(one: UUID, other: UUID, purpose: str, strength: int) -> None:
    text = seal(SECRET, purpose, one, other, strength=strength)
    assert opened(SECRET, purpose, text.upper(), strength=strength) == (one, other)
    for secret, wrong in ((SECRET, f"{purpose}x"), (SecretStr("another"), purpose)):
        with pytest.raises(ValueError, match="seal"):
            opened(secret, wrong, text, strength=strength)
