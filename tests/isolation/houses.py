"""Organizations that own one of everything, each thing under its name in the API and marked so that a leak shows."""

import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from uuid import UUID

from api import cursors
from db.types import new_id
from jobs.seals import seal
from jobs.usage import UNSUBSCRIBE
from tests.stack import Stack
from tests.visitors import PASSWORD, Person

# However fast the tests ask, none is answered that it asks too often.
NO_HURRY = "update tenancy.organizations set rate_limit_override = 100000 where organization_id = %s returning name"
CYCLE = """
insert into billing.billing_cycles (organization_id, id, period_start, period_end, organization_name,
    organization_email, plan, currency, total_requests, total_amount_minor, number, issued_at, due_date)
values (%s, %s, '2026-10-01Z', '2026-11-01Z', %s, %s, 'pro', 'USD', 9, 900, 1, '2026-11-01Z', '2026-11-15Z')
returning id
"""
ATTEMPT = """
insert into billing.payments (organization_id, id, billing_cycle_id, provider, reference, customer_email, amount_minor,
    currency, invoice_minor, expires_at, asked_at, updated_at, created_at)
values (%s, %s, %s, 'stripe', %s, %s, 900, 'USD', 900, '2099-01-01Z', now(), now(), now()) returning reference
"""
NOTE = """
insert into billing.credit_notes (organization_id, id, billing_cycle_id, number, amount_minor, settled_minor,
    balance_minor, currency, reason, organization_name, organization_email, issued_at)
values (%s, %s, %s, 1, 100, 100, 0, 'USD', %s, %s, %s, '2026-11-02Z') returning id
"""


@dataclass
class House:
    """One organization: its owner, a member, an API key, and the value of everything that can be named over HTTP."""

    owner: Person
    member: Person
    key: str
    values: dict[str, list[str]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    @property
    def organization_id(self) -> str:
        """Its id."""
        return str(self.owner.organization["id"])

    def own(self, name: str) -> str:
        """The first value under a name."""
        return self.values[name][0]

    def marks(self) -> set[str]:
        """Whatever must occur nowhere else: ids in both spellings, secrets, names, addresses, texts."""
        ids = {value for name, found in self.values.items() if name.endswith("_id") for value in found}
        spelt = ids | {value.replace("-", "") for value in ids} | {value.removeprefix("msg_") for value in ids}
        return {each.lower() for each in (*spelt, *self.words, self.key, *self.tokens())}

    def tokens(self) -> set[str]:
        """Every secret that travels by mail or in a header."""
        return {value for name, found in self.values.items() if name.startswith("token") for value in found}


async def build(stack: Stack, word: str) -> House:
    """Found it through the product's own doors; only the invoice and its payment are written by hand."""
    owner = await stack.register(f"{word} Holding")
    stack.rows(NO_HURRY, owner.organization["id"])
    member = await stack.join(owner)
    key = (await owner.post("/keys", {"name": f"{word} key"})).data
    house = House(owner, member, key["key"], words=[word, owner.email, member.email])
    quiet, guest = f"{word}-quiet@mts-test.com", f"{word}-guest@mts-test.com"
    listed = [
        (await owner.post("/suppressions", {"channel": "email", "recipient": f"{number}-{quiet}"})).data["id"]
        for number in range(3)
    ]
    messages = [await _send(stack, house, f"{word} writes {number}") for number in range(3)]
    _, invitation = await stack.invite(owner, email=guest)
    (await stack.visitor().post("/auth/request-password-reset", {"email": member.email})).data  # noqa: B018
    (await owner.post("/auth/login", {"email": owner.email, "password": PASSWORD})).data  # noqa: B018
    unverified = await stack.register(f"{word} Annex", verified=False)
    await stack.work()
    reference = f"{word}-{secrets.token_hex(8)}"
    cycle_id = _invoice(stack, house, word, reference)
    house.values = {
        "organization_id": [house.organization_id],
        "user_id": [str(member.user["id"]), str(owner.user["id"])],
        "session_id": [str(each["id"]) for each in (await owner.get("/auth/sessions")).data["sessions"]],
        "invitation_id": [_row(stack, house, "tenancy.team_invitations")],
        "key_id": [key["id"]],
        "message_id": messages,
        "suppression_id": listed,
        "invoice_id": [cycle_id],
        "cycle_id": [cycle_id],
        "billing_cycle_id": [cycle_id],
        "credit_note_id": [_credit_note(stack, house, word, cycle_id)],
        "reference": [reference],
        "trxref": [reference],
        "row": [str(member.user["id"]), key["id"]],
        "token verify-email": [stack.token_for(unverified.email, "/verify-email")],
        "token reset-password": [stack.token_for(member.email, "/reset-password")],
        "token invitation": [invitation],
        "token unsubscribe": [
            seal(stack.settings.jwt_secret, UNSUBSCRIBE, UUID(house.organization_id), UUID(str(member.user["id"])))
        ],
        "token session": [str(owner.token)],
    }
    house.values["cursor"] = await _cursors(stack, house)
    await stack.resources.limits._last_use.flush()  # what is written later would look like somebody's doing
    return house


async def _send(stack: Stack, house: House, text: str) -> str:
    body = {"to": f"to-{house.words[0]}@mts-test.com", "type": "email", "message": text, "subject": text}
    return str((await stack.visitor().post("/messages/send", body, X_API_Key=house.key)).data["message_id"])


async def _cursors(stack: Stack, house: House) -> list[str]:
    pages = [await house.owner.get(path) for path in ("/suppressions?limit=1", "/audit/events?limit=1")]
    pages.append(await stack.visitor().get("/messages?limit=1", X_API_Key=house.key))
    return [str(page.data["pagination"]["next_cursor"]) for page in pages]


def _invoice(stack: Stack, house: House, word: str, reference: str) -> str:
    cycle_id = new_id()
    stack.rows(CYCLE, house.organization_id, cycle_id, f"{word} Holding", house.owner.email)
    stack.rows(ATTEMPT, house.organization_id, new_id(), cycle_id, reference, house.owner.email)
    return str(cycle_id)


def _credit_note(stack: Stack, house: House, word: str, cycle_id: str) -> str:
    names = (f"{word} forgiven", f"{word} Holding", house.owner.email)
    return str(stack.rows(NOTE, house.organization_id, new_id(), cycle_id, *names)[0][0])


def _row(stack: Stack, house: House, table: str) -> str:
    statement = f"select id from {table} where organization_id = %s and accepted_at is null"
    return str(stack.rows(statement, house.organization_id)[0][0])


def like(value: str) -> str:
    """A value of the same form that never was: a place next to a cursor's, another id, another token."""
    if re.fullmatch(r"(msg_)?[0-9a-f-]{32,36}", value):
        made = new_id()
        return f"msg_{made.hex}" if value.startswith("msg_") else str(made)
    if kind := re.match(r"[a-z]+_(live|test)_", value):
        return kind[0] + secrets.token_hex(len(value))[: len(value) - len(kind[0])]
    return urlsafe_b64encode(secrets.token_bytes(len(value))).decode()[: len(value)].replace("=", "A")


def beside(cursor: str) -> str:
    """A cursor to the same place with an id that never was."""
    at, key = cursors.decode(cursor)
    return cursors.encode(at, UUID(int=key.int ^ 1) if key.int >> 64 else key)
