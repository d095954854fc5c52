"""What every mail promises to its reader, and what a stranger's text cannot do in it."""

import dataclasses
import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.types import Money
from jobs.providers import mail_billing as billing
from jobs.providers import mail_kinds as kinds
from jobs.providers.mail_words import article, day, moment, money
from jobs.providers.render import kind_of, render, samples
from jobs.providers.untrusted import Link, safe_link, safe_name
from settings import ROOT

EVERY = pytest.mark.parametrize(
    "mail", samples(), ids=lambda mail: f"{kind_of(mail)}-{getattr(mail, 'event', '')}".rstrip("-")
)
LINKED = re.compile(r"\w:/|\w[.。．｡][^\W\d_]", re.IGNORECASE)


def invitation(**changes: object) -> kinds.Invitation:
    sample = next(mail for mail in samples() if isinstance(mail, kinds.Invitation))
    return dataclasses.replace(sample, **changes)  # type: ignore[arg-type]


def test_there_is_a_sample_and_a_pair_of_templates_of_every_kind() -> None:
    assert {kind_of(mail) for mail in samples()} == set(get_args(kinds.MailKind))
    assert {type(mail) for mail in samples()} == set(get_args(kinds.Mail))
    for kind in get_args(kinds.MailKind):
        assert all((ROOT / "templates" / "email" / f"{kind}.{ending}").is_file() for ending in ("html", "txt"))


@EVERY
def test_a_mail_has_a_subject_and_says_the_same_in_html_and_text(mail: kinds.Mail) -> None:
    rendered = render(mail)
    assert 5 < len(rendered.subject) <= 120
    assert f"<title>{rendered.subject}</title>" in rendered.html
    for told in _told(mail):
        assert told in rendered.text
        assert told in rendered.html
    for leftover in ("{{", "}}", "{%", "{#", "None", "Undefined", "\n\n\n"):
        assert leftover not in rendered.text
        assert leftover not in rendered.html.replace("\n\n\n", "")


def _told(mail: kinds.Mail) -> list[str]:
    """Links, amounts and dates that both parts must name."""
    hints = type(mail).__annotations__
    values = [(hints[field.name], getattr(mail, field.name)) for field in dataclasses.fields(mail)]
    said = [value for hint, value in values if hint is Link]
    said += [money(value) for _, value in values if isinstance(value, Money)]
    said += [moment(value) for _, value in values if isinstance(value, datetime)]
    return said


@EVERY
def test_html_works_in_old_clients_on_phones_and_in_the_dark(mail: kinds.Mail) -> None:
    html = render(mail).html
    assert html.startswith("<!doctype html>")
    assert 'name="viewport"' in html
    assert "prefers-color-scheme: dark" in html
    assert "<script" not in html
    assert "<img" not in html
    assert not re.search(r"url\(|@import|<link ", html)
    assert len(html) < 60_000, "Gmail cuts mails of more than about 100 kB"


@EVERY
def test_text_is_written_for_people(mail: kinds.Mail) -> None:
    text = render(mail).text
    assert not re.search(r"<[a-z/]|&[a-z]+;", text)
    assert "\n--\n" in text


def test_an_invoice_names_every_line_and_its_sum() -> None:
    invoice = next(mail for mail in samples() if isinstance(mail, billing.Invoice))
    rendered = render(invoice)
    assert sum(line.amount.minor for line in invoice.lines) == invoice.amount.minor
    for part in (rendered.html, rendered.text):
        for line in invoice.lines:
            assert line.description in part
            assert money(line.amount) in part
        assert "15,000" in part
        assert "15 December 2026" in part
    assert rendered.subject == "Invoice INV-2026-000117: $60.00 for November 2026"


def test_a_person_without_a_name_is_greeted_without_one() -> None:
    rendered = render(kinds.Verification(None, "https://a.example/v", 24))
    assert rendered.text.startswith("Hello,\n")
    assert ">Hello,</p>" in rendered.html


@pytest.mark.parametrize(
    ("percent", "overage", "says"),
    [
        (80, None, "requests are refused until the month turns"),
        (100, None, "Further requests are refused"),
        (80, Money(1), "each further request costs $0.01"),
        (100, Money(1), "From now on each request costs $0.01"),
    ],
)
def test_a_usage_alert_says_what_happens_next(percent: int, overage: Money | None, says: str) -> None:
    links = ("https://a.example/b", "https://a.example/u")
    rendered = render(kinds.UsageAlert("Acme", "free", "May 2026", percent, 800, 1000, overage, *links))
    assert says in rendered.text
    assert says in rendered.html
    assert ("All included requests" in rendered.html) == (percent == 100)


def test_markup_in_a_name_is_shown_and_not_obeyed() -> None:
    rendered = render(invitation(organization='<script>alert("x")</script>', inviter="<b>Eve</b> {{ 7*7 }}"))
    assert "<script" not in rendered.html
    assert "<b>Eve" not in rendered.html
    assert "&lt;script&gt;alert(&#34;x&#34;)" in rendered.html
    assert "{{ 7*7 }}" in rendered.text


def test_line_breaks_in_a_name_reach_neither_the_subject_nor_the_text() -> None:
    rendered = render(
        invitation(organization="Acme\r\nBcc: all@example.com\x0b\u2028\x85x", inviter="Eve\n\nWire us $500")
    )
    assert "\r" not in rendered.subject + rendered.text
    assert rendered.subject == "Eve Wire us $500 invites you to join Acme Bcc: all@example․com x"
    assert not any(line.startswith(("Bcc", "Wire")) for line in rendered.text.splitlines())


def test_a_long_name_is_cut_to_eighty_characters() -> None:
    assert len(safe_name("x" * 5000)) == 80
    rendered = render(invitation(organization="Ümläut" * 500))
    assert "Ümläut" * 14 not in rendered.html
    assert rendered.subject.endswith("…")


@pytest.mark.parametrize(
    "name",
    [
        "Win at https://evil.example/prize now",
        "evil.com",
        "www.evil.co.uk/a?b=c",
        "pay@evil.com",
        "mailto:pay@evil.com",
        "javascript:alert(1)//x.y",
        "hthttps://tps://evil.com",
        "evil。com and evil．com",
        "xn--e1awd7f.com",
        "ftp://evil.com",
    ],
)
def test_an_address_in_a_name_becomes_no_link(name: str) -> None:
    assert not LINKED.search(safe_name(name))
    rendered = render(invitation(organization=name))
    assert name not in rendered.html + rendered.text + rendered.subject


@given(st.text(max_size=300))
def test_no_text_at_all_gets_a_link_a_break_or_a_direction_mark_through(text: str) -> None:
    safe = safe_name(text)
    assert len(safe) <= 80
    assert not LINKED.search(safe)
    assert len(safe.splitlines()) <= 1
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\u2060\ufeff]", safe)


@pytest.mark.parametrize(
    "name", ["Acme Inc.", "St. Mary & Sons", "O’Brien 3.0", "東京商事", "Ça va? – Đà Nẵng", "203.0.113.7", "👩‍🚀 Labs"]
)
def test_an_honest_name_stays_as_it_is(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "http://a.example/ b",
        'https://a.example/"onclick=',
        "//a.example",
        "https://a.example/\r\nBcc:x",
        "https://",
        "",
    ],
)
def test_a_link_that_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        safe_link(url)
    with pytest.raises(ValueError, match="http"):
        render(invitation(url=url))


def test_a_customers_message_is_left_as_it_was_written() -> None:
    body = "Dear <Tunde>,\r\n\r\n  see https://shop.example/a?b=1&c=2\n.\nBye\x00"
    rendered = render(kinds.Message("Acme", "Order\r\nBcc: x@y.z", body))
    assert rendered.subject == "Order Bcc: x@y.z"
    assert rendered.text == "Dear <Tunde>,\n\n  see https://shop.example/a?b=1&c=2\n.\nBye\n\n--\nSent for Acme.\n"
    assert "Dear &lt;Tunde&gt;,<br><br>  see https://shop.example/a?b=1&amp;c=2<br>.<br>Bye" in rendered.html
    assert "MTS" not in rendered.html + rendered.text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Money(0), "$0.00"),
        (Money(1), "$0.01"),
        (Money(106_000), "$1,060.00"),
        (Money(-500), "−$5.00"),
        (Money(1_500_000, "NGN"), "₦15,000.00"),
        (Money(99, "KES"), "KSh 0.99"),
        (Money(-1200, "XOF"), "−12.00 XOF"),
        (Money(9_007_199_254_740_993), "$90,071,992,547,409.93"),
    ],
)
def test_amounts_are_written_exactly(amount: Money, text: str) -> None:
    assert money(amount) == text


def test_times_are_written_in_utc_whatever_zone_they_come_in() -> None:
    lagos = timezone(timedelta(hours=14))
    assert moment(datetime(2026, 12, 1, 3, 5, tzinfo=lagos)) == "30 November 2026, 13:05 UTC"
    assert day(datetime(2026, 12, 1, 3, 5, tzinfo=lagos)) == "30 November 2026"
    assert day(date(2026, 2, 9)) == "9 February 2026"
    assert day(datetime(2026, 2, 9, tzinfo=UTC)) == "9 February 2026"


def test_roles_take_their_article() -> None:
    assert [article(role) for role in ("owner", "admin", "member")] == ["an owner", "an admin", "a member"]
