"""The messages of `mts demo`, sent through the API: some arrive, some are refused, one waits for a busy mail server."""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from cli.demo_cast import Story
from cli.demo_founding import Founded
from cli.tour_http import Guide
from db import keys, messages
from db.pool import Database, Tenant
from db.types import SYSTEM, OrganizationId
from jobs.resources import Resources

SETTLED_WITHIN_SECONDS = 20.0
ASK_AGAIN_SECONDS = 0.2
BUSY = "busy-mailbox@customers.example"
GONE = "gone@customers.example"
UNSUBSCRIBED = "+15005550004"
UNREACHABLE = "+14155550001"
# What the mail catcher shall say to two of the recipients.
FAULTS = (
    {"kind": "refuse", "at": "recipient", "code": 451, "recipient": BUSY, "times": 6},
    {"kind": "refuse", "at": "recipient", "code": 550, "recipient": GONE, "times": 1},
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message about one order of a customer."""

    order: str
    type: Literal["sms", "email"]
    to: str
    text: str
    subject: str | None = None
    is_test: bool = False

    def body(self) -> dict[str, Any]:
        """What the API is asked for."""
        subject = {"subject": self.subject} if self.subject else {}
        return {"to": self.to, "type": self.type, "message": self.text, "metadata": {"order": self.order}} | subject


def letters(story: Story) -> list[Letter]:
    """One for each order of a story's customers."""
    return [_letter(story, number) for number in range(story.orders)]


def _letter(story: Story, number: int) -> Letter:
    order = f"{story.slug}-{4100 + 7 * number}"
    odd = {3: UNSUBSCRIBED, 5: UNREACHABLE}.get(number)
    if number % 2:
        text = f"{story.name}: your order {order} arrives today between 14:00 and 16:00."
        return Letter(order, "sms", odd or f"+1415555{2200 + 13 * number}", text, is_test=number == 9)
    to = {4: GONE, 6: BUSY}.get(number, f"customer{number}@customers.example")
    text = f"Good day,\n\nyour order {order} has left our house.\n\n{story.name}"
    return Letter(order, "email", to, text, f"Your order {order} is on its way")


async def send_missing(worker: Resources, guide: Guide, story: Story, founded: Founded) -> int:
    """Send the letters that were not sent yet, and wait for what becomes of them; how many were sent now."""
    async with worker.database.tenant(founded.id, SYSTEM, read_only=True) as tenant:
        known = {message.metadata.get("order") for message in await _all(tenant)}
    missing = [letter for letter in letters(story) if letter.order not in known]
    if not missing:
        return 0
    secrets = founded.secrets or await _new_secrets(worker, story, founded)
    for fault in FAULTS if not known else ():
        await asyncio.to_thread(guide.sandbox.post, "/mail/api/faults", json=fault)
    for letter in missing:
        await _send(guide, letter, secrets[_key_name(story, letter)])
    await _settled(worker.database, founded.id)
    return len(missing)


def _key_name(story: Story, letter: Letter) -> str:
    mode = "test" if letter.is_test else "live"
    return next(key.name for key in story.keys if key.mode == mode and key.ended is None)


async def _new_secrets(worker: Resources, story: Story, founded: Founded) -> dict[str, str]:
    """Nobody can see a key twice: what was sent half-way by a killed run goes on with the same keys, rotated."""
    names = {_key_name(story, letter) for letter in letters(story)}
    async with worker.database.tenant(founded.id, SYSTEM) as tenant:
        listed, _ = await keys.page(tenant, 1, 100)
        old = [key for key in listed if key.name in names and key.is_active]
        now = worker.clock.now()
        new = [await keys.rotate(tenant, key.id, founded.owner_id, now, timedelta(0)) for key in old]
    await worker.limits.bump(founded.id)
    return {each.key.name: each.secret for each in new}


async def _send(guide: Guide, letter: Letter, secret: str) -> None:
    """Send one letter; raises CommandError when the API refuses it."""
    headers = {"Idempotency_Key": f"order-{letter.order}"}
    await asyncio.to_thread(guide.quietly, "POST", "/messages/send", 200, token=secret, body=letter.body(), **headers)


async def _settled(database: Database, organization_id: OrganizationId) -> None:
    """Wait until a worker has looked at every message; a worker that is slow is no trouble of ours."""
    deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        async with database.tenant(organization_id, SYSTEM, read_only=True) as tenant:
            waiting = [each for each in await _all(tenant) if _is_under_way(each)]
        if not waiting:
            return
        await asyncio.sleep(ASK_AGAIN_SECONDS)


def _is_under_way(message: messages.Message) -> bool:
    if message.status == "queued":
        return message.error is None
    return message.status == "sent" and message.type == "sms"


async def _all(tenant: Tenant) -> list[messages.Message]:
    return await messages.page(tenant, before=messages.LAST, limit=100, status=None, kind=None)
