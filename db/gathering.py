"""When a group goes: with all who are on their way to it, or once its first has waited for as long as a group takes."""

import asyncio


class Gathering:
    """Who is on the way, and how long groups took lately; `with` it while somebody is on the way."""

    def __init__(self) -> None:
        self._coming = 0
        self._first_at = 0.0
        self._took = self._took_before = 0.0
        self._are_all_here: asyncio.Future[None] | None = None

    def __enter__(self) -> None:
        self._coming += 1

    def __exit__(self, *_: object) -> None:
        self._coming -= 1
        if not self._coming:
            self._go()

    def begin(self) -> None:
        """The first of a new group is here."""
        self._first_at = asyncio.get_running_loop().time()

    def took(self, seconds: float) -> None:
        """A group was written; one that took long by chance makes nobody wait: the shorter of two counts."""
        self._took_before, self._took = self._took, seconds

    async def wait(self) -> None:
        """Return when the group should go. Only one may wait at a time."""
        loop = asyncio.get_running_loop()
        until = self._first_at + min(self._took, self._took_before)
        if not self._coming or loop.time() >= until:
            return
        self._are_all_here = loop.create_future()
        alarm = loop.call_at(until, self._go)
        await self._are_all_here
        alarm.cancel()

    def _go(self) -> None:
        if self._are_all_here is not None and not self._are_all_here.done():
            self._are_all_here.set_result(None)
