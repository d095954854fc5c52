"""Sends mail over SMTP: pooled connections, TLS, log-in, pace, DKIM, and a clear word on how each attempt ended."""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Literal

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)

from db.types import Clock, system_clock
from jobs.providers.dkim_key import DkimKey
from jobs.providers.mail import Email, MailRefused, MailUnavailable, MailUncertain, Stage
from jobs.providers.mime import Letter, compose
from jobs.providers.smtp_pool import SmtpPool
from jobs.providers.smtp_url import parse_smtp_url

Pace = Callable[[Email], Awaitable[None]]


class SmtpTransport:
    """A MailTransport over one SMTP server.

    `smtp_url` as in `parse_smtp_url`; `timeout` is in seconds for each step; `tls` replaces the system's trust store;
    `pace` is awaited before each mail and holds it back (or raises MailUnavailable) where a provider limits the rate;
    `dkim` signs each mail whose key is given.
    """

    def __init__(
        self,
        smtp_url: str,
        *,
        connections: int = 4,
        idle_seconds: float = 30,
        timeout: float = 30,
        tls: ssl.SSLContext | None = None,
        pace: Pace | None = None,
        dkim: DkimKey | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self._server = parse_smtp_url(smtp_url)
        self._timeout, self._tls, self._pace, self._dkim, self._clock = timeout, tls, pace, dkim, clock
        self._pool = SmtpPool(self._connect, size=connections, idle_seconds=idle_seconds, mails_per_line=100)

    async def send(self, email: Email) -> None:
        """Return once the server has taken the mail over. Raises MailRefused, MailUnavailable or MailUncertain."""
        letter = compose(email, self._clock.now())
        content = letter.content if self._dkim is None else await asyncio.to_thread(self._dkim.signed, letter.content)
        if self._pace is not None:
            await self._pace(email)
        if not await self._send_on_an_old_line(letter, content):
            async with self._pool.line(fresh=True) as line:
                await _hand_over(line.client, letter, content, self._timeout)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    async def _send_on_an_old_line(self, letter: Letter, content: bytes) -> bool:
        """Send on a pooled connection; False when that had died since its last mail and nothing was handed over."""
        is_old = False
        try:
            async with self._pool.line() as line:
                is_old = line.carried > 0
                await _hand_over(line.client, letter, content, self._timeout)
        except MailUnavailable as error:
            if error.uncertain or not is_old:
                raise
            return False
        return True

    async def _connect(self) -> SMTP:
        server = self._server
        client = SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            local_hostname=_own_name(),
            timeout=self._timeout,
            use_tls=server.protection == "tls",
            start_tls=server.protection == "starttls",
            tls_context=self._tls,
        )
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        except (SMTPException, OSError) as error:
            # Wrong credentials or certificates are ours to mend: no mail is to be given up for them.
            raise MailUnavailable(f"{type(error).__name__}: {error}") from error
        return client


def _own_name() -> str:
    """What we call ourselves in EHLO: a full host name, or the address literal that RFC 5321 asks for without one."""
    name = socket.gethostname()
    return name if re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", name) else "[127.0.0.1]"


async def _hand_over(client: SMTP, letter: Letter, content: bytes, timeout: float) -> None:
    try:
        await _envelope(client, letter, len(content))
        await _ask_for_data(client)
        _write(client, content)
    except SMTPSenderRefused as error:
        raise _refusal("sender", error) from error
    except SMTPRecipientRefused as error:
        raise _refusal("recipient", error) from error
    except SMTPResponseException as error:
        raise _refusal("content", error) from error
    except (SMTPException, OSError) as error:
        raise MailUnavailable(f"{type(error).__name__}: {error}") from error
    await _verdict(client, timeout)


async def _envelope(client: SMTP, letter: Letter, size: int) -> None:
    if letter.needs_utf8 and not client.supports_extension("smtputf8"):
        reason = "the mail server does not take internationalised addresses (SMTPUTF8)"
        raise MailRefused(permanent=True, code=553, reason=reason, stage="composition")
    encoding: Literal["utf-8", "ascii"] = "utf-8" if letter.needs_utf8 else "ascii"
    options = ["SMTPUTF8"] if letter.needs_utf8 else []
    if client.supports_extension("size"):
        options.append(f"SIZE={size}")
    await client.mail(letter.sender, options=options, encoding=encoding)
    await client.rcpt(letter.recipient, encoding=encoding)


async def _ask_for_data(client: SMTP) -> None:
    """DATA by hand, because only what comes after its 354 can be uncertain."""
    response = await client.execute_command(b"DATA")
    if response.code != 354:
        raise SMTPResponseException(response.code, response.message)


def _write(client: SMTP, content: bytes) -> None:
    """Write the content and its end. Raises SMTPServerDisconnected when nothing of it can have left."""
    if client.protocol is None:
        raise SMTPServerDisconnected("the connection was lost before the content was sent")
    dotted = re.sub(rb"(?m)^\.", b"..", content)
    client.protocol.write((dotted if dotted.endswith(b"\r\n") else dotted + b"\r\n") + b".\r\n")


async def _verdict(client: SMTP, timeout: float) -> None:
    """What the server says about the content. Raises MailRefused, or MailUncertain when it says nothing."""
    try:
        if client.protocol is None:
            raise SMTPServerDisconnected("the connection was lost after the content was sent")
        response = await client.protocol.read_response(timeout)
    except (SMTPException, OSError) as error:
        raise MailUncertain(f"{type(error).__name__}: {error}") from error
    if response.code // 100 != 2:
        raise _refusal("content", SMTPResponseException(response.code, response.message))


def _refusal(stage: Stage, error: SMTPResponseException) -> MailRefused | MailUnavailable:
    """4xx is temporary, 5xx permanent; anything else is no SMTP and says nothing about the mail."""
    if error.code // 100 not in {4, 5}:
        return MailUncertain(f"unexpected reply {error.code}") if stage == "content" else MailUnavailable(str(error))
    return MailRefused(permanent=error.code >= 500, code=error.code, reason=error.message, stage=stage)
