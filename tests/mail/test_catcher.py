"""The mail catcher: what arrives is kept, found, shown safely and waited for, and faults come as asked for."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from jobs.providers.mail import MailRefused
from jobs.providers.sandbox.mail import Mailbox, MailFault, mail_routes
from jobs.providers.sandbox.mail_faults import MailFaults
from tests.mail.conftest import Catch, Connect, mail_to


@pytest.fixture
async def web(mailbox: Mailbox) -> AsyncIterator[httpx.AsyncClient]:
    """The pages, mounted as `mts dev` mounts them."""
    app = Starlette(routes=[Mount("/mail", routes=mail_routes(mailbox))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        yield client


async def test_mail_outlives_a_restart(tmp_path: Path, catch: Catch, connect: Connect, mailbox: Mailbox) -> None:
    await connect(await catch()).send(mail_to())
    mailbox.close()
    again = Mailbox(tmp_path / "mail")
    (mail,) = again.find()
    assert mail.subject == "Your invoice for November"
    assert again.add("a@b.example", ["c@d.example"], b"Subject: next\r\n\r\n") > mail.id


async def test_mail_is_found_by_recipient_subject_and_id(mailbox: Mailbox, web: httpx.AsyncClient) -> None:
    for subject, to in (("One", "ada@heron.example"), ("Two", "chidi@heron.example"), ("Three", "Ada@Heron.example")):
        mailbox.add("mts@mts.example", [to], f"Subject: {subject}\r\n\r\nHello".encode())

    async def subjects(**query: object) -> list[str]:
        answer = await web.get("/mail/api/messages", params={name: str(value) for name, value in query.items()})
        return [mail["subject"] for mail in answer.json()]

    assert await subjects() == ["Three", "Two", "One"]
    assert await subjects(to="ada@heron.example") == ["Three", "One"]
    assert await subjects(subject="tw") == ["Two"]
    assert await subjects(after=1, limit=1) == ["Three"]
    assert await subjects(after=3) == []
    assert (await web.get("/mail/api/messages?after=x")).status_code == 400


async def test_the_json_tells_everything(
    mailbox: Mailbox, catch: Catch, connect: Connect, web: httpx.AsyncClient
) -> None:
    await connect(await catch()).send(mail_to(subject="Grüße"))
    mail = (await web.get("/mail/api/messages/1")).json()
    assert mail["id"] == 1
    assert mail["from"] == "no-reply@mts.example"
    assert mail["to"] == ["ada@heron.example"]
    assert mail["subject"] == "Grüße"
    assert mail["text"].startswith("Hello Ada")
    assert mail["html"] == "<p>Hello Ada</p>\n"
    assert ["To", "ada@heron.example"] in mail["headers"]
    assert mail["received_at"].endswith("Z")
    assert (await web.get("/mail/api/messages/2")).status_code == 404


async def test_who_waits_is_answered_when_the_mail_arrives(mailbox: Mailbox, web: httpx.AsyncClient) -> None:
    wanted = {"to": "ada@heron.example", "subject": "verify", "timeout": "10"}
    waiting = asyncio.create_task(web.get("/mail/api/wait", params=wanted))
    await asyncio.sleep(0)
    mailbox.add("mts@mts.example", ["ada@heron.example"], b"Subject: Welcome\r\n\r\n")
    mailbox.add("mts@mts.example", ["eve@heron.example"], b"Subject: Verify\r\n\r\n")
    expected = mailbox.add("mts@mts.example", ["ada@heron.example"], b"Subject: Verify your address\r\n\r\n")
    assert (await waiting).json()["id"] == expected
    assert (await web.get("/mail/api/wait", params=wanted)).json()["id"] == expected, "also when it was there before"
    late = await web.get("/mail/api/wait", params=wanted | {"after": str(expected), "timeout": "0.01"})
    assert (late.status_code, late.json()) == (404, {"error": "no such mail in 0.01 s"})


async def test_everything_can_be_deleted(mailbox: Mailbox, web: httpx.AsyncClient) -> None:
    mailbox.add("mts@mts.example", ["ada@heron.example"], b"Subject: One\r\n\r\n")
    assert (await web.delete("/mail/api/messages")).status_code == 204
    assert (await web.get("/mail/api/messages")).json() == []


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    box = Mailbox(tmp_path, keep=3)
    for number in range(5):
        box.add("a@b.example", ["c@d.example"], f"Subject: {number}\r\n\r\n".encode())
    assert [mail.subject for mail in box.find()] == ["4", "3", "2"]


async def test_pages_show_a_mail_in_every_way_and_run_nothing_of_it(mailbox: Mailbox, web: httpx.AsyncClient) -> None:
    evil = '<html><head></head><body>"><script>alert(1)</script></body></html>'
    raw = f"From: Eve <eve@b.example>\r\nSubject: <script>x\r\nContent-Type: text/html\r\n\r\n{evil}".encode()
    mailbox.add("eve@b.example", ["<i>@c.example"], raw)
    assert "No mail" not in (listed := (await web.get("/mail/")).text)
    assert "&lt;script&gt;x" in listed
    assert 'href="/mail/messages/1"' in listed
    for view in ("", "?view=html", "?view=text", "?view=headers", "?view=raw", "?view=other"):
        page = await web.get(f"/mail/messages/1{view}")
        assert page.status_code == 200
        assert "<script" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
    framed = (await web.get("/mail/messages/1")).text
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in framed
    assert "&lt;base target=&#34;_blank&#34;&gt;" in framed
    assert (await web.get("/mail/messages/1.eml")).content == raw
    assert (await web.get("/mail/messages/9")).status_code == 404
    assert (await web.get("/mail/messages/9.eml")).status_code == 404
    assert "No mail to nobody" in (await web.get("/mail/?to=nobody")).text


async def test_faults_are_set_and_cleared_over_http(
    mailbox: Mailbox, catch: Catch, connect: Connect, web: httpx.AsyncClient
) -> None:
    transport = connect(await catch())
    made = await web.post("/mail/api/faults", json={"kind": "refuse", "code": 452, "recipient": "ada@heron.example"})
    assert made.status_code == 201
    with pytest.raises(MailRefused) as caught:
        await transport.send(mail_to())
    assert caught.value.code == 452
    await transport.send(mail_to("chidi@heron.example"))
    assert len((await web.get("/mail/api/faults")).json()) == 1
    assert (await web.delete("/mail/api/faults")).status_code == 204
    await transport.send(mail_to())
    for wrong in ({"kind": "explode"}, {"kind": "refuse", "code": 200}, {"kind": "drop", "when": "now"}):
        assert (await web.post("/mail/api/faults", json=wrong)).status_code == 400
    assert (await web.post("/mail/api/faults", content=b"{")).status_code == 400


def test_counted_faults_are_used_up_one_mail_at_a_time() -> None:
    faults = MailFaults()
    faults.add(MailFault(kind="refuse", times=2))
    faults.add(MailFault(kind="delay", at="content"))
    hits = [bool(faults.take("recipient", "a@b.example", "c@d.example")) for _ in range(3)]
    assert hits == [True, True, False]
    assert [fault.kind for fault in faults.all()] == ["delay"]
