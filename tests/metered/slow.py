"""A TCP proxy in front of Redis that can be slow, swallow everything, or break off in the middle of an answer."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class SlowRoad:
    """The way to a server; what is set here holds from the next bytes on. Nothing is ever said twice.

    `delay` in seconds is the way there and back, half of it each; with `swallows` bytes vanish without a trace; with
    `cut_after` both sides are hung up on after so many bytes of the next answer, of every one with `keeps_cutting`.
    """

    target: int
    port: int = 0
    delay: float = 0.0
    swallows: bool = False
    cut_after: int | None = None
    keeps_cutting: bool = False
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Redis, this way."""
        return f"redis://127.0.0.1:{self.port}/0"

    def clear(self) -> None:
        """Everything is well again."""
        self.delay, self.swallows, self.cut_after, self.keeps_cutting = 0.0, False, None, False

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Someone wants to go there: two streams, each in its order."""
        behind, ahead = await asyncio.open_connection("127.0.0.1", self.target)
        ways = [asyncio.create_task(self._pass(reader, ahead)), asyncio.create_task(self._pass(behind, writer, True))]
        self._running.update(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        # What was on its way still arrives, as packets do when who sent them is gone.
        await asyncio.sleep(self.delay)
        for way in ways:
            way.cancel()
            self._running.discard(way)
        for end in (writer, ahead):
            end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool = False) -> None:
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        arriving = asyncio.create_task(self._arrive(due, writer, answers))
        try:
            with suppress(ConnectionError):
                while data := await reader.read(65536):
                    if not self.swallows:
                        due.put_nowait((time.monotonic() + self.delay / 2, data))
        finally:
            await asyncio.wait([arriving], timeout=self.delay)
            arriving.cancel()

    async def _arrive(
        self, due: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, answers: bool
    ) -> None:
        while True:
            at, data = await due.get()
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            if answers and self.cut_after is not None:
                writer.write(data[: self.cut_after])
                self.cut_after = self.cut_after if self.keeps_cutting else None
                writer.close()
                return
            writer.write(data)


@asynccontextmanager
async def slow_road(target: int) -> AsyncIterator[SlowRoad]:
    """A way to a port of this machine, well at first."""
    road = SlowRoad(target)
    server = await asyncio.start_server(road.connect, "127.0.0.1", 0)
    road.port = server.sockets[0].getsockname()[1]
    try:
        yield road
    finally:
        server.close()
        for way in road._running:
            way.cancel()
