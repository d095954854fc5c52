"""What happens by itself after a while: a session expires, a refund is processed, a message is delivered."""

import asyncio
import time
from collections.abc import Callable, Mapping

from jobs.providers.sandbox.store import Store

Step = Callable[[str, str], None]
"""Carries out an action on a subject, in a transaction of its own."""


class Schedule:
    """Steps that are due at a time, remembered over restarts."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.awake = asyncio.Event()

    def at(self, due: float, provider: str, action: str, subject: str) -> None:
        """Plan a step for a Unix time, in the caller's transaction."""
        text = "insert into steps (provider, action, subject, due_at) values (?, ?, ?, ?)"
        self.store.connection.execute(text, (provider, action, subject, due))
        self.awake.set()

    async def run(self, steps: Mapping[str, Step]) -> None:
        """Carry out what is due for ever; `steps` by provider."""
        while True:
            self.awake.clear()
            self._carry_out(steps)
            try:
                async with asyncio.timeout(self._pause()):
                    await self.awake.wait()
            except TimeoutError:
                continue

    def _carry_out(self, steps: Mapping[str, Step]) -> None:
        text = "select * from steps where due_at <= ? order by due_at, id limit 500"
        for row in self.store.connection.execute(text, (time.time(),)).fetchall():
            with self.store.transaction():
                self.store.connection.execute("delete from steps where id = ?", (row["id"],))
                steps[row["provider"]](row["action"], row["subject"])

    def _pause(self) -> float:
        due = self.store.connection.execute("select min(due_at) from steps").fetchone()[0]
        return 1.0 if due is None else min(max(due - time.time(), 0.005), 1.0)
