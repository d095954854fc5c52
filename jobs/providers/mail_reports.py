"""Reads what the world reports about our mail: bounces (RFC 3464) and complaints (RFC 5965), as mail servers write it.

Each mail leaves with a return address of its own, which names the mail and bears our seal. A report is believed as far
as such an address stands in it: who can show one has had that very mail in hand.
"""

import email
import email.policy
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from hashlib import sha256
from typing import Literal
from uuid import UUID

from pydantic import SecretStr

from db.types import OrganizationId
from jobs.providers.errors import SignatureError
from jobs.seals import opened, seal

Subject = Literal["message", "email"]

TOLERANCE_SECONDS = 300
_LETTERS: dict[Subject, str] = {"message": "m", "email": "e"}
_STRENGTH = 7  # with two ids and a letter that makes 64 characters, the most that stand before an @-sign
_LOCAL = re.compile(rb"\b([me])([a-z2-7]{63})@", re.IGNORECASE)
# The mailbox does not exist, has moved or is closed; anything else says nothing about the next mail to it.
_GONE = re.compile(r"5\.(1\.[0-9]+|2\.1)")


@dataclass(frozen=True, slots=True)
class MailReport:
    """What became of one mail after a server had taken it; `is_gone` says that its recipient cannot be written to."""

    subject: Subject
    organization_id: OrganizationId
    id: UUID
    kind: Literal["bounce", "complaint"]
    status: str
    is_gone: bool


def return_address(
    secret: SecretStr, domain: str, subject: Subject, organization_id: OrganizationId, row_id: UUID
) -> str:
    """The address in `domain` to which servers report about this mail alone."""
    return (
        f"{_LETTERS[subject]}{seal(secret, f'return {subject}', organization_id, row_id, strength=_STRENGTH)}@{domain}"
    )


def verify(secret: SecretStr, raw: bytes, header: str | None, now: datetime) -> None:
    """Check `t=<Unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`. Raises SignatureError."""
    if not header:
        raise SignatureError("missing")
    found = re.fullmatch(r"t=(\d{1,12}),v1=([0-9a-f]{64})", header)
    if not found:
        raise SignatureError("malformed")
    if not hmac.compare_digest(found[2], _signature(secret, found[1], raw)):
        raise SignatureError("mismatch")
    if abs(now.timestamp() - int(found[1])) > TOLERANCE_SECONDS:
        raise SignatureError("stale")


def signed(secret: SecretStr, raw: bytes, now: datetime) -> str:
    """The header that `verify` accepts, for whoever hands the reports over."""
    at = str(int(now.timestamp()))
    return f"t={at},v1={_signature(secret, at, raw)}"


def read(secret: SecretStr, raw: bytes) -> MailReport | None:
    """What a report says about a mail of ours; None for a delay, other mail, and an address that is not ours."""
    report = email.message_from_bytes(raw, policy=email.policy.default)
    found = _named(secret, raw)
    if found is None:
        return None
    if _part(report, "message/feedback-report") is not None:
        return MailReport(*found, "complaint", "complaint", True)
    delivery = _part(report, "message/delivery-status")
    fields = _fields(delivery) if delivery is not None else {}
    status = re.match(r"5\.\d{1,3}\.\d{1,3}", fields.get("status", ""))
    if fields.get("action", "").lower() != "failed" or not status:
        return None
    return MailReport(*found, "bounce", status[0], bool(_GONE.fullmatch(status[0])))


def _named(secret: SecretStr, raw: bytes) -> tuple[Subject, OrganizationId, UUID] | None:
    """The mail whose return address stands anywhere in the report, the first that bears our seal."""
    subjects = {letter: subject for subject, letter in _LETTERS.items()}
    for letter, sealed in _LOCAL.findall(raw):
        subject = subjects[letter.decode().lower()]
        try:
            organization_id, row_id = opened(secret, f"return {subject}", sealed.decode(), strength=_STRENGTH)
        except ValueError:
            continue
        return subject, OrganizationId(organization_id), row_id
    return None


def _part(report: Message, kind: str) -> Message | None:
    return next((part for part in report.walk() if part.get_content_type() == kind), None)


def _fields(delivery: Message) -> dict[str, str]:
    """The fields about the recipient; each mail of ours has one."""
    blocks = delivery.get_payload()
    found: dict[str, str] = {}
    for block in blocks if isinstance(blocks, list) else []:
        found |= {name.lower(): str(value).strip() for name, value in block.items()}  # type: ignore[union-attr]
    return found


def _signature(secret: SecretStr, at: str, raw: bytes) -> str:
    return hmac.digest(secret.get_secret_value().encode(), at.encode() + b"." + raw, sha256).hex()
