"""What the product asks of an SMS company: send one message, ask what became of it, and signed status call-backs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from jobs.providers.errors import ProviderRefused

SmsStatus = Literal["queued", "sent", "delivered", "failed"]
SmsFault = Literal["invalid_number", "unsubscribed", "unreachable", "rejected", "temporary", "account"]


@dataclass(frozen=True)
class SmsReceipt:
    """What the provider knows of one message; `fault` and `error_code` only when it failed."""

    provider_id: str
    status: SmsStatus
    segments: int
    error_code: str | None = None
    fault: SmsFault | None = None


class SmsRefused(ProviderRefused):
    """The message was not taken; worth another try only when `temporary`, or `account` once an operator has acted.

    `unsubscribed` and `invalid_number` belong on the suppression list.
    """

    def __init__(self, code: str, message: str, fault: SmsFault) -> None:
        super().__init__(code, message)
        self.fault = fault


class SmsProvider(Protocol):
    """An SMS company. Every coroutine raises ProviderUnavailable or SmsRefused."""

    @property
    def name(self) -> str:
        """The company, in lower case."""

    async def send(self, message_id: UUID, to: str, body: str, callback_url: str | None) -> SmsReceipt:
        """Send one message to an E.164 number; status changes are posted to `callback_url`, which names the message.

        Never repeats by itself once the provider may have the message: ProviderUnavailable then has `uncertain`
        set and the caller asks `find`, or waits for the call-back.
        """

    async def find(
        self, message_id: UUID, to: str, body: str, since: datetime, known: Collection[str] = ()
    ) -> SmsReceipt | None:
        """The message of an uncertain `send` at or after `since`, leaving out provider ids that belong to others."""

    async def fetch(self, provider_id: str) -> SmsReceipt:
        """What became of a message."""

    def parse_callback(self, url: str, form: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> SmsReceipt:
        """The state in a call-back. `url` is the address the provider called, with its query. Raises SignatureError."""

    async def close(self) -> None:
        """Give the connections back."""
