"""Recipients have one form, and the short way to it ends where the library's does."""

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from api.recipients import email_address
from db.errors import Invalid

# Whatever the short way could take for plain, and everything next to it.
NEARLY_PLAIN = st.from_regex(r"[a-zA-Z0-9_+.-]{1,10}@([a-zA-Z0-9-]{1,9}\.){0,3}[a-zA-Z0-9]{0,9}", fullmatch=True)
PLAIN = st.from_regex(r"[a-zA-Z0-9_+-]{1,9}(\.[a-z0-9]{1,9})?@([a-z0-9]{1,9}\.){1,3}[a-z]{2,6}", fullmatch=True)


def by_the_library(text: str) -> str:
    return validate_email(text, check_deliverability=False).normalized


def outcome(text: str) -> str:
    try:
        return email_address(text, "to")
    except Invalid:
        return "refused"


@given(NEARLY_PLAIN | PLAIN | st.emails())
@example("a@b.test")
@example("a@b.local")
@example("a@xn--bcher-kva.example")
@example("a@ab--c.com")
@example("a@b.c-")
@example("a@1.23")
@example("A.b+C@Example.COM")
@example("a" * 65 + "@example.com")
@example("a@" + "b" * 64 + ".com")
@example("a@" + "b." * 40 + "com")
@example("a@example.com\n")
def test_an_address_is_what_the_library_makes_of_it(text: str) -> None:
    try:
        expected = by_the_library(text)
    except EmailNotValidError:
        expected = "refused"
    assert outcome(text) == expected


@pytest.mark.parametrize("text", ["ann@example.com", "ann.lee+1@mail.a-b.co.uk", "A_b-c@x9.museum"])
def test_plain_addresses_do_not_trouble_the_library(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.recipients.validate_email", lambda *_, **__: pytest.fail("asked the library"))
    assert email_address(text, "to") == text
