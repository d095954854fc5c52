"""Every kind of mail the product writes, as one frozen dataclass with the words' variables."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from db.types import Money, Role
from jobs.providers import mail_billing as billing
from jobs.providers.mail_words import SECURITY, SecurityEvent, SecurityWords, moment, quota_consequence
from jobs.providers.untrusted import Body, Link, Subject


@dataclass(frozen=True, slots=True)
class Welcome:
    """To the founder of an organization, once, after registration."""

    name: str | None
    organization: str
    dashboard_url: Link


@dataclass(frozen=True, slots=True)
class Verification:
    """To a new address: the link that confirms it."""

    name: str | None
    url: Link
    expires_in_hours: int


@dataclass(frozen=True, slots=True)
class PasswordReset:
    """To an account's address: the link to a new password."""

    name: str | None
    url: Link
    expires_in_hours: int


@dataclass(frozen=True, slots=True)
class Invitation:
    """To a stranger whom a member invites."""

    inviter: str
    organization: str
    role: Role
    url: Link
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class KeyCreated:
    """To the owners when an API key appears; `key_hint` is the masked key, never the key."""

    organization: str
    key_name: str
    key_hint: str
    created_by: str
    created_at: datetime
    keys_url: Link


@dataclass(frozen=True, slots=True)
class SecurityNotice:
    """To a person whose account or seat has changed; `address` and `device` are those of whoever did it.

    `person` and `role` say whose role it is now, where it is about one; `key` is a name with its masked key.
    """

    event: SecurityEvent
    name: str | None
    organization: str | None
    at: datetime
    address: str | None
    device: str | None
    action_url: Link
    person: str | None = None
    role: Role | None = None
    key: str | None = None

    @property
    def words(self) -> SecurityWords:
        """Title, sentence, advice and button of this event."""
        return SECURITY[self.event]

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What is known about the event, as label and value."""
        known = [
            ("Organization", self.organization),
            ("Person", self.person),
            ("Role", self.role),
            ("Key", self.key),
            ("When", moment(self.at)),
            ("Address", self.address),
            ("Device", self.device),
        ]
        return [(label, value) for label, value in known if value]


@dataclass(frozen=True, slots=True)
class UsageAlert:
    """To owners and admins, once a month at 80 and at 100 % of the quota; `overage` is None where it is hard.

    `overage` is the price of `overage_per` further requests. Who does not want it follows `unsubscribe_url`.
    """

    organization: str
    plan: str
    month: str
    percent: int
    used: int
    included: int
    overage: Money | None
    url: Link
    unsubscribe_url: Link
    overage_per: int = 1

    @property
    def consequence(self) -> str:
        """What happens to further requests."""
        return quota_consequence(self.percent >= 100, self.overage, self.overage_per)


@dataclass(frozen=True, slots=True)
class Message:
    """A customer's own message, sent through our API to whomever it names."""

    organization: str
    subject: Subject
    body: Body


@dataclass(frozen=True, slots=True)
class AccountExists:
    """To an account's address when someone registers with it again."""

    name: str | None
    login_url: Link
    reset_url: Link


Mail = (
    Welcome
    | Verification
    | PasswordReset
    | Invitation
    | billing.Invoice
    | billing.PaymentSuccess
    | billing.PaymentRefunded
    | billing.CreditNote
    | billing.Overdue
    | billing.KeysSuspended
    | billing.KeysResumed
    | KeyCreated
    | SecurityNotice
    | UsageAlert
    | Message
    | AccountExists
)
MailKind = Literal[
    "welcome", "verification", "password_reset", "invitation", "invoice", "payment_success", "payment_refunded",
    "credit_note", "overdue", "keys_suspended", "keys_resumed", "key_created", "security_notice", "usage_alert",
    "message", "account_exists",
]  # fmt: skip
