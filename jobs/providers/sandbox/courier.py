"""Posts one provider's events in the background until they are taken, signing each attempt anew."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping

import httpx

from jobs.providers.sandbox.faults import Faults
from jobs.providers.sandbox.store import Store

Sign = Callable[[str, bytes], Mapping[str, str]]
"""The signature headers for a body posted to an address."""

BATCH = 8
QUICK_ATTEMPTS, LAST_ATTEMPT = 40, 112
SHORT_WAIT, LONG_WAIT = 30.0, 3600.0
"""Up to half a minute apart for a while, then hourly for three days, as the real ones give up too."""

REORDER_WINDOW = 0.4


class Courier:
    """The outgoing post of one provider. `only_200` refuses every other success, as Paystack does."""

    def __init__(self, provider: str, store: Store, faults: Faults, sign: Sign, *, only_200: bool = False) -> None:
        self.provider = provider
        self.store = store
        self.faults = faults
        self.sign = sign
        self.only_200 = only_200
        self.awake = asyncio.Event()

    def post(self, url: str, event_id: str, body: bytes, content_type: str = "application/json") -> None:
        """Queue one event, in the caller's transaction."""
        state = "dropped" if self.faults.take("drop_webhooks") else "waiting"
        due = time.time() + (REORDER_WINDOW if self.faults.reorder else 0)
        for _ in range(2 if state == "waiting" and self.faults.take("duplicate_webhooks") else 1):
            self.store.connection.execute(
                "insert into deliveries (provider, event_id, url, content_type, body, state, next_at)"
                " values (?, ?, ?, ?, ?, ?, ?)",
                (self.provider, event_id, url, content_type, body, state, due),
            )
        self.awake.set()

    def counts(self) -> dict[str, int]:
        """How many deliveries are in each state."""
        text = "select state, count(*) from deliveries where provider = ? group by state"
        found = dict(self.store.connection.execute(text, (self.provider,)).fetchall())
        return {state: found.get(state, 0) for state in ("waiting", "delivered", "dropped", "abandoned")}

    async def run(self) -> None:
        """Deliver for ever; what an earlier run left is tried at once."""
        left = "update deliveries set next_at = 0 where provider = ? and state = 'waiting'"
        self.store.connection.execute(left, (self.provider,))
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            while True:
                self.awake.clear()
                batch = [] if self.faults.hold_webhooks else self._due()
                if not batch:
                    await self._rest()
                elif self.faults.reorder:
                    for delivery in reversed(batch):
                        await self._deliver(client, delivery)
                else:
                    await asyncio.gather(*(self._deliver(client, delivery) for delivery in batch))

    def _due(self) -> list[sqlite3.Row]:
        now = time.time()
        text = "select * from deliveries where provider = ? and state = 'waiting' and next_at <= ? order by id limit ?"
        batch = self.store.connection.execute(text, (self.provider, now, BATCH)).fetchall()
        return [] if batch and self.faults.reorder and self._more_to_come(now, batch[0]["next_at"]) else batch

    def _more_to_come(self, now: float, due: float) -> bool:
        """Whether to wait for younger events to overtake this one, which is done for two seconds at most."""
        text = "select 1 from deliveries where provider = ? and state = 'waiting' and attempts = 0 and next_at > ?"
        younger = self.store.connection.execute(text, (self.provider, now)).fetchone()
        return younger is not None and now - due < 2

    async def _rest(self) -> None:
        """Sleep until the next one is due or something changes."""
        text = "select min(next_at) from deliveries where provider = ? and state = 'waiting'"
        due = self.store.connection.execute(text, (self.provider,)).fetchone()[0]
        wait = 1.0 if due is None or self.faults.hold_webhooks else min(max(due - time.time(), 0.005), 1.0)
        try:
            async with asyncio.timeout(wait):
                await self.awake.wait()
        except TimeoutError:
            return

    async def _deliver(self, client: httpx.AsyncClient, delivery: sqlite3.Row) -> None:
        headers = {**self.sign(delivery["url"], delivery["body"]), "content-type": delivery["content_type"]}
        try:
            response = await client.post(delivery["url"], content=delivery["body"], headers=headers)
            taken = response.status_code == 200 if self.only_200 else response.is_success
            self._record(delivery, taken, f"HTTP {response.status_code}")
        except httpx.HTTPError as error:
            self._record(delivery, False, type(error).__name__)

    def _record(self, delivery: sqlite3.Row, taken: bool, result: str) -> None:
        attempts = delivery["attempts"] + 1
        state = "delivered" if taken else "abandoned" if attempts >= LAST_ATTEMPT else "waiting"
        due = time.time() + (min(0.2 * 2**attempts, SHORT_WAIT) if attempts < QUICK_ATTEMPTS else LONG_WAIT)
        self.store.connection.execute(
            "update deliveries set state = ?, attempts = ?, next_at = ?, result = ? where id = ?",
            (state, attempts, due, result, delivery["id"]),
        )
