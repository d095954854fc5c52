"""Spaces mails out where a provider takes only so many a second."""

import asyncio

from jobs.providers.mail import Email


class PerSecond:
    """A `pace` of SmtpTransport: at most `rate` mails a second from this process, evenly spaced."""

    def __init__(self, rate: float) -> None:
        self._gap = 1 / rate
        self._next = 0.0

    async def __call__(self, email: Email) -> None:
        now = asyncio.get_running_loop().time()
        start = max(now, self._next)
        self._next = start + self._gap
        await asyncio.sleep(start - now)
