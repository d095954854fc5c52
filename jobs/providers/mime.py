"""Writes a mail down as bytes: addresses checked, headers that cannot be broken out of, seven-bit content."""

import re
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.headerregistry import BaseHeader, HeaderRegistry
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8, Policy
from email.utils import format_datetime, formataddr
from typing import Any

from email_validator import ValidatedEmail, validate_email

from jobs.providers.mail import Email, MailRefused

_OWN_HEADERS = {
    "from", "to", "cc", "bcc", "sender", "reply-to", "return-path", "subject", "date", "message-id", "received",
    "mime-version", "content-type", "content-transfer-encoding", "content-disposition", "dkim-signature",
    "list-unsubscribe", "list-unsubscribe-post",
}  # fmt: skip
_HEADER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,60}")
_ID = re.compile(r"<[\x21-\x3b=\x3f-\x7e]+@[A-Za-z0-9.-]+>")
_URL = re.compile(r"https?://[\x21\x23-\x3b=\x3f-\x7e]+")
_LONGEST_LINE = 998


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail ready for SMTP: the envelope's two addresses and the content with CRLF line ends."""

    sender: str
    recipient: str
    needs_utf8: bool
    content: bytes


class _Opaque(BaseHeader):
    """A header of addresses or URLs: written as it is in one line; folded or encoded it would mean something else."""

    max_count = 1

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        kwds["parse_tree"] = kwds["decoded"] = str(value)

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


def _registry() -> HeaderRegistry:
    registry = HeaderRegistry()
    for name in ("from", "to", "reply-to", "message-id", "list-unsubscribe"):
        registry.map_to_type(name, _Opaque)
    return registry


_PLAIN = SMTP.clone(cte_type="7bit", header_factory=_registry())
_UTF8 = SMTPUTF8.clone(cte_type="7bit", header_factory=_registry())


def compose(email: Email, date: datetime) -> Letter:
    """The mail as bytes, dated `date`.

    Internationalised domains are written in their ASCII form; a local part beyond ASCII needs a server with SMTPUTF8.
    Raises MailRefused (permanent, stage "composition") when an address or a header is not what it should be.
    """
    try:
        recipient = parse_address(email.recipient)
        message = _message(email, recipient, date)
        sender = _ascii(parse_address(email.bounce_address or _bare(email.sender)))
        content = re.sub(rb"\r\n|\r|\n", b"\r\n", message.as_bytes())
        return Letter(sender, _smtp_form(recipient), recipient.ascii_email is None, content)
    except ValueError as error:
        raise MailRefused(permanent=True, code=553, reason=str(error), stage="composition") from error


def parse_address(text: str) -> ValidatedEmail:
    """A bare address, checked. Raises ValueError (EmailNotValidError)."""
    return validate_email(text, check_deliverability=False, test_environment=True, globally_deliverable=False)


def parse_mailbox(text: str) -> tuple[str, str]:
    """Name (may be empty) and ASCII address of `Name <address>`. Raises ValueError."""
    found = re.fullmatch(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^<>"]*?))\s*<([^<>]+)>\s*', text)
    if not found:
        return "", _ascii(parse_address(text))
    name = re.sub(r"\\(.)", r"\1", found[1]) if found[1] is not None else found[2]
    return name, _ascii(parse_address(found[3]))


def _message(email: Email, recipient: ValidatedEmail, date: datetime) -> EmailMessage:
    message = EmailMessage(policy=_UTF8 if recipient.ascii_email is None else _PLAIN)
    for name, value in _headers(email, recipient, date).items():
        message[name] = value
    message.set_content(email.text)
    if email.html is not None:
        message.add_alternative(email.html, subtype="html")
    return message


def _headers(email: Email, recipient: ValidatedEmail, date: datetime) -> dict[str, str]:
    headers = {
        "From": _mailbox_header(email.sender),
        "To": _smtp_form(recipient),
        "Subject": email.subject,
        "Date": format_datetime(date),
        "Message-ID": _checked(email.message_id, _ID, "Message-ID"),
        "Auto-Submitted": "auto-generated",
    }
    if email.reply_to is not None:
        headers["Reply-To"] = _mailbox_header(email.reply_to)
    if email.unsubscribe_url is not None:
        headers["List-Unsubscribe"] = f"<{_checked(email.unsubscribe_url, _URL, 'List-Unsubscribe')}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers | {_extra_name(name): value for name, value in email.headers.items()}


def _mailbox_header(text: str) -> str:
    """`Name <address>` in ASCII: a plain name quoted where needed, any other in encoded words (RFC 2047)."""
    name, address = parse_mailbox(text)
    if name.isascii():
        return formataddr((name, address))
    return f"{Header(name, 'utf-8').encode(linesep='')} <{address}>"


def _extra_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name) or name.lower() in _OWN_HEADERS:
        raise ValueError("a header of this name cannot be added")
    return name


def _checked(value: str, shape: re.Pattern[str], what: str) -> str:
    if not shape.fullmatch(value) or len(value) > _LONGEST_LINE - 40:
        raise ValueError(f"{what} is malformed")
    return value


def _smtp_form(address: ValidatedEmail) -> str:
    return address.ascii_email or f"{address.local_part}@{address.ascii_domain}"


def _ascii(address: ValidatedEmail) -> str:
    if address.ascii_email is None:
        raise ValueError("a sender's address must be ASCII before the @-sign")
    return address.ascii_email


def _bare(sender: str) -> str:
    return parse_mailbox(sender)[1]
