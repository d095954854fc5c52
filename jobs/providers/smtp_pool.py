"""Keeps a few SMTP connections open between mails, so that most mails cost no handshake."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiosmtplib import SMTP, SMTPException

from jobs.providers.mail import MailRefused


@dataclass(slots=True)
class Line:
    """An open connection, how many mails it has carried and the timer that ends its idleness."""

    client: SMTP
    carried: int = 0
    expiry: asyncio.TimerHandle | None = None


class SmtpPool:
    """At most `size` connections. One that idles `idle_seconds` or has carried `mails_per_line` mails is closed."""

    def __init__(
        self, connect: Callable[[], Awaitable[SMTP]], *, size: int, idle_seconds: float, mails_per_line: int
    ) -> None:
        self._connect, self._idle_seconds, self._mails_per_line = connect, idle_seconds, mails_per_line
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Line] = []
        self._is_closed = False

    @asynccontextmanager
    async def line(self, *, fresh: bool = False) -> AsyncIterator[Line]:
        """A connection for one mail: an idle one unless `fresh`, else a new one. Kept after success or MailRefused."""
        async with self._slots:
            line = (None if fresh else self._take_idle()) or Line(await self._connect())
            try:
                yield line
            except MailRefused:
                await self._after_refusal(line)
                raise
            except BaseException:
                line.client.close()
                raise
            self._keep(line)

    async def close(self) -> None:
        """Say goodbye on idle connections; one that is in use closes after its mail."""
        self._is_closed = True
        while line := self._take_idle():
            _hang_up(line)

    def _take_idle(self) -> Line | None:
        while self._idle:
            line = self._idle.pop()
            if line.expiry:
                line.expiry.cancel()
            if line.client.is_connected:
                return line
        return None

    async def _after_refusal(self, line: Line) -> None:
        """Clear the refused mail's envelope from the connection, or give the connection up."""
        is_clear = False
        try:
            if line.client.is_connected:
                await line.client.rset()
                is_clear = True
        except (SMTPException, OSError):
            return
        finally:
            if not is_clear:
                line.client.close()
        self._keep(line)

    def _keep(self, line: Line) -> None:
        line.carried += 1
        if not line.client.is_connected:
            return
        if self._is_closed or line.carried >= self._mails_per_line:
            _hang_up(line)
            return
        line.expiry = asyncio.get_running_loop().call_later(self._idle_seconds, self._expire, line)
        self._idle.append(line)

    def _expire(self, line: Line) -> None:
        if line in self._idle:
            self._idle.remove(line)
            _hang_up(line)


def _hang_up(line: Line) -> None:
    """QUIT without waiting for the answer: nothing depends on it."""
    if line.client.protocol is not None and line.client.is_connected:
        line.client.protocol.write(b"QUIT\r\n")
    line.client.close()
