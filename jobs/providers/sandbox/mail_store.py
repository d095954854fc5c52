"""The mailbox behind the mail catcher: every mail in one SQLite file, so that a restart keeps them."""

import asyncio
import email
import email.policy
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path

from db.types import Clock, system_clock
from jobs.providers.sandbox.mail_faults import MailFaults

SCHEMA = """
create table if not exists mails (
    id integer primary key autoincrement, sender text not null, recipients text not null, subject text not null,
    received_at text not null, raw blob not null
)
"""
FOUND = """
select id, sender, recipients, received_at, raw from mails
where id > :after
  and (:to is null or exists (select 1 from json_each(recipients) where lower(value) = lower(:to)))
  and (:subject is null or instr(lower(subject), lower(:subject)) > 0)
"""


@dataclass(frozen=True)
class CaughtMail:
    """One mail as it arrived; `recipients` are those of the envelope."""

    id: int
    sender: str
    recipients: tuple[str, ...]
    received_at: datetime
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        """The mail, parsed."""
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    @property
    def subject(self) -> str:
        """The subject, decoded."""
        return str(self.message.get("Subject", ""))

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All headers in their order, decoded; a name may repeat."""
        return [(name, str(value)) for name, value in self.message.items()]

    def part(self, kind: str) -> str | None:
        """The body as `plain` or `html`, None when the mail has none."""
        body = self.message.get_body((kind,))
        return str(body.get_content()).replace("\r\n", "\n") if body else None


class Mailbox:
    """All caught mail, the newest `keep` of them, and what shall go wrong with those that come."""

    def __init__(self, data_dir: Path, *, keep: int = 20_000, clock: Clock = system_clock) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.faults = MailFaults()
        self._keep, self._clock = keep, clock
        self._arrivals: set[asyncio.Event] = set()
        self._connection = sqlite3.connect(data_dir / "mail.sqlite3", isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = normal")
        self._connection.execute(SCHEMA)

    def add(self, sender: str, recipients: Sequence[str], raw: bytes) -> int:
        """Keep a mail and wake those who wait. Returns its id; ids grow."""
        subject = str(email.message_from_bytes(raw, policy=email.policy.default).get("Subject", ""))
        values = (sender, json.dumps(list(recipients)), subject, self._clock.now().isoformat(), raw)
        text = "insert into mails (sender, recipients, subject, received_at, raw) values (?, ?, ?, ?, ?)"
        mail_id = self._connection.execute(text, values).lastrowid or 0
        self._connection.execute("delete from mails where id <= ?", (mail_id - self._keep,))
        for arrival in self._arrivals:
            arrival.set()
        return mail_id

    def find(
        self,
        *,
        to: str | None = None,
        subject: str | None = None,
        after: int = 0,
        limit: int = 100,
        oldest: bool = False,
    ) -> list[CaughtMail]:
        """Mails to an address, with these words in the subject, ids above `after`; newest first unless `oldest`."""
        text = f"{FOUND} order by id {'asc' if oldest else 'desc'} limit :limit"
        values = {"to": to, "subject": subject, "after": after, "limit": limit}
        return [_mail(row) for row in self._connection.execute(text, values)]

    def get(self, mail_id: int) -> CaughtMail | None:
        """One mail, None when there is none."""
        text = "select id, sender, recipients, received_at, raw from mails where id = ?"
        row = self._connection.execute(text, (mail_id,)).fetchone()
        return _mail(row) if row else None

    async def wait(
        self, *, to: str | None = None, subject: str | None = None, after: int = 0, timeout: float = 10
    ) -> CaughtMail | None:
        """The oldest such mail, as soon as there is one; None after `timeout` seconds."""
        arrival, loop = asyncio.Event(), asyncio.get_running_loop()
        deadline = loop.time() + timeout
        self._arrivals.add(arrival)
        try:
            while not (found := self.find(to=to, subject=subject, after=after, limit=1, oldest=True)):
                await asyncio.wait_for(arrival.wait(), deadline - loop.time())
                arrival.clear()
        except TimeoutError:
            return None
        finally:
            self._arrivals.discard(arrival)
        return found[0]

    def clear(self) -> None:
        """Delete every mail. Ids are not used again."""
        self._connection.execute("delete from mails")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _mail(row: sqlite3.Row) -> CaughtMail:
    received_at = datetime.fromisoformat(row["received_at"])
    return CaughtMail(row["id"], row["sender"], tuple(json.loads(row["recipients"])), received_at, row["raw"])
