"""Open connections to known server processes: requests go out without waiting for the answers of those before."""

import asyncio
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tests.metered.served import Served

MOST_TRIES = 400


@dataclass(frozen=True, slots=True)
class Heard:
    """The status of an answer, its head in lower case, and its body."""

    status: int
    head: bytes
    body: bytes


class Line(asyncio.Protocol):
    """One connection; answers come in the order of the requests."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._asked: deque[asyncio.Future[Heard]] = deque()
        self._text = b""
        self._transport: asyncio.Transport

    @classmethod
    async def to(cls, port: int) -> "Line":
        """A new connection."""
        _, line = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return line

    @property
    def own_port(self) -> int:
        """The port at this end."""
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    def ask(self, request: bytes) -> "asyncio.Future[Heard]":
        """Send a request now; its answer, once all of it is here, or a ConnectionError."""
        answer: asyncio.Future[Heard] = self._loop.create_future()
        if self._transport.is_closing():
            answer.set_exception(ConnectionError("the server hung up before this was asked"))
            return answer
        self._asked.append(answer)
        self._transport.write(request)
        return answer

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._text += data
        while (end := self._text.find(b"\r\n\r\n")) >= 0:
            head = self._text[:end].lower() + b"\r\n"
            begin = head.index(b"content-length: ") + 16
            last = end + 4 + int(head[begin : head.index(b"\r\n", begin)])
            if len(self._text) < last:
                return
            self._asked.popleft().set_result(Heard(int(head[9:12]), head, self._text[end + 4 : last]))
            self._text = self._text[last:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        for answer in self._asked:
            if not answer.done():
                answer.set_exception(ConnectionError("the server hung up"))


async def lines_to(server: Served, processes: int, each: int) -> dict[int, list[Line]]:
    """So many connections to each of the processes of a server, by process id."""
    found: dict[int, list[Line]] = {}
    for _ in range(MOST_TRIES):
        line = await Line.to(server.port)
        await line.ask(b"GET /livez HTTP/1.1\r\nHost: mts\r\n\r\n")  # whoever answers has accepted it
        lines = found.setdefault(_owner(server, line.own_port), [])
        if len(lines) < each:
            lines.append(line)
        else:
            line.close()
        if len(found) == processes and all(len(lines) == each for lines in found.values()):
            return found
    raise AssertionError(f"{MOST_TRIES} connections reached {len(found)} of {processes} processes")


def _owner(server: Served, port: int) -> int:
    """The process of a server that holds the other end of our connection from this port."""
    ends = (f"0100007F:{server.port:04X}", f"0100007F:{port:04X}")
    rows = (row.split() for row in Path("/proc/net/tcp").read_text().splitlines())
    inode = next(row[9] for row in rows if (row[1], row[2]) == ends)
    for pid in _family(server.process.pid):
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            if handle.is_symlink() and str(handle.readlink()) == f"socket:[{inode}]":
                return pid
    raise AssertionError("nobody holds the other end")


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _family(int(child)))]
