"""What a mail is on its way out, and what a transport promises about sending it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol
from uuid import UUID

from jobs.providers.errors import ProviderError, ProviderUnavailable

Stage = Literal["composition", "sender", "recipient", "content"]


@dataclass(frozen=True, slots=True)
class Email:
    """One mail to one recipient. Its representation shows no address and no content, so that a log cannot either.

    `sender` and `reply_to` may be `Name <address>`, `recipient` is the bare address. `message_id` comes from the outbox
    row (see `message_id`), so that every attempt bears the same. `bounce_address` is where the receiving server reports
    a failure, the sender's address if None. `unsubscribe_url` takes an RFC 8058 one-click POST. `html` may be None.
    """

    sender: str = field(repr=False)
    recipient: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    message_id: str
    html: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    reply_to: str | None = field(default=None, repr=False)
    bounce_address: str | None = field(default=None, repr=False)
    unsubscribe_url: str | None = field(default=None, repr=False)


class MailRefused(ProviderError):
    """The server answered no, or the mail cannot be written at all (`stage` is then "composition").

    `permanent`: the same mail will be refused again (5xx). `code` is the SMTP reply code. Only a permanent refusal at
    stage "recipient" says something about the recipient's mailbox and belongs on the suppression list. `reason` is the
    server's sentence, without addresses.
    """

    def __init__(self, *, permanent: bool, code: int, reason: str, stage: Stage) -> None:
        self.permanent, self.code, self.reason, self.stage = permanent, code, _without_addresses(reason), stage
        super().__init__(f"{code} at {stage}: {self.reason}")


class MailUnavailable(ProviderUnavailable):
    """The server could not be reached or would not talk to us. The mail was not handed over: try again later."""

    def __init__(self, reason: str, *, uncertain: bool = False) -> None:
        super().__init__(_without_addresses(reason), uncertain=uncertain)


class MailUncertain(MailUnavailable):
    """The connection was lost after the content was sent and before the server said yes or no.

    The server may have the mail. SMTP offers no way to ask; sending again with the same Message-ID is the one
    documented case in which a recipient may see a mail twice.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason, uncertain=True)


class MailTransport(Protocol):
    """Hands mails over to the world."""

    async def send(self, email: Email) -> None:
        """Return once a server has taken the mail over. Raises MailRefused, MailUnavailable or MailUncertain."""

    async def close(self) -> None:
        """Give the connections back."""


def message_id(outbox_id: UUID, sender: str) -> str:
    """The Message-ID of an outbox row, the same on every attempt, in the domain of `sender` (`Name <address>`)."""
    domain = re.search(r"@([A-Za-z0-9.-]+)>?\s*$", sender)
    if not domain:
        raise ValueError("the sender has no address in an ASCII domain")
    return f"<{outbox_id}@{domain[1].lower()}>"


def named(name: str, address: str) -> str:
    """`"Name" <address>` for a sender or reply-to; any name is quoted safely."""
    escaped = " ".join(name.split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{address}>'


def _without_addresses(reason: str) -> str:
    one_line = " ".join(reason.split())
    return re.sub(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+", "(address)", one_line)[:300]
