"""The mail catcher: a real SMTP server that delivers to a mailbox on this machine instead of to the world."""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from jobs.providers.sandbox.mail_faults import MailFault, MailFaults, Stage
from jobs.providers.sandbox.mail_pages import mail_routes
from jobs.providers.sandbox.mail_store import CaughtMail, Mailbox
from jobs.providers.smtp_url import Protection

__all__ = [
    "CatcherOptions",
    "CaughtMail",
    "MailFault",
    "MailFaults",
    "Mailbox",
    "SmtpCatcher",
    "mail_routes",
    "start_smtp",
]


@dataclass(frozen=True)
class CatcherOptions:
    """What the server asks of its clients: TLS with this context, a log-in when there are `users`, a `size` limit."""

    protection: Protection = "none"
    tls: ssl.SSLContext | None = None
    users: Mapping[str, str] = field(default_factory=dict)
    size: int = 10 * 2**20
    takes_utf8: bool = True


class SmtpCatcher:
    """A running catcher."""

    def __init__(self, server: asyncio.Server, connections: "set[_Conversation]") -> None:
        self._server, self._connections = server, connections
        self.port: int = server.sockets[0].getsockname()[1]

    @property
    def open_connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def stop(self) -> None:
        """Stop listening and cut every connection; mails that were answered stay in the mailbox."""
        self._server.close()
        for connection in list(self._connections):
            if connection.transport is not None:
                connection.transport.abort()  # type: ignore[attr-defined]
        await self._server.wait_closed()


async def start_smtp(
    port: int, mailbox: Mailbox, *, host: str = "127.0.0.1", options: CatcherOptions | None = None
) -> SmtpCatcher:
    """Serve SMTP in the running loop on `port` (0 for any free one), delivering into `mailbox`. Raises OSError."""
    # The library logs every address it sees at lower levels.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    connections: set[_Conversation] = set()
    chosen = options or CatcherOptions()
    loop = asyncio.get_running_loop()
    tls = chosen.tls if chosen.protection == "tls" else None
    server = await loop.create_server(lambda: _Conversation(mailbox, chosen, connections), host, port, ssl=tls)
    return SmtpCatcher(server, connections)


class _Conversation(SMTP):
    """One connection: aiosmtpd's protocol with faults at each step."""

    def __init__(self, mailbox: Mailbox, options: CatcherOptions, connections: "set[_Conversation]") -> None:
        self._others = connections
        super().__init__(
            _Delivery(mailbox),
            data_size_limit=options.size,
            enable_SMTPUTF8=options.takes_utf8,
            hostname="localhost",
            ident="mail catcher",
            tls_context=options.tls if options.protection == "starttls" else None,
            require_starttls=options.protection == "starttls",
            auth_required=bool(options.users),
            authenticator=_authenticator(options.users),
            loop=asyncio.get_running_loop(),
        )
        # The library knows STARTTLS only, and would not let anyone log in over TLS from the first byte.
        self._auth_require_tls = options.protection == "starttls"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the connection, so that `stop` can cut it."""
        self._others.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection."""
        self._others.discard(self)
        super().connection_lost(error)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - the library finds commands by this name
        """Take the content in, unless a fault comes before."""
        refusal = await self.event_handler.refusal(self, "before_data")
        if refusal:
            await self.push(refusal)
        else:
            await super().smtp_DATA(arg)

    async def hang_up(self) -> NoReturn:
        """Cut the connection as a crash would; the library cancels the conversation when the loss is noticed."""
        if self.transport is not None:
            self.transport.abort()  # type: ignore[attr-defined]
        await asyncio.Event().wait()
        raise ConnectionResetError


class _Delivery:
    """aiosmtpd's hooks: meet the faults, then keep the mail."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox

    async def handle_MAIL(  # noqa: N802 - the library finds hooks by this name
        self, server: _Conversation, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """The sender."""
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        refusal = await self.refusal(server, "sender")
        if refusal:
            envelope.mail_from = None
        return refusal or "250 2.1.0 Sender OK"

    async def handle_RCPT(  # noqa: N802 - the library finds hooks by this name
        self, server: _Conversation, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """A recipient."""
        envelope.rcpt_tos.append(address)
        refusal = await self.refusal(server, "recipient")
        if refusal:
            envelope.rcpt_tos.pop()
        return refusal or "250 2.1.5 Recipient OK"

    async def handle_DATA(self, server: _Conversation, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """The content."""
        faults = self._faults(server, "content")
        refusal = await self._refusal(server, [fault for fault in faults if fault.kind != "drop"])
        if refusal:
            return refusal
        content = envelope.original_content or b""
        mail_id = self.mailbox.add(envelope.mail_from or "", list(map(str, envelope.rcpt_tos)), content)
        if any(fault.kind == "drop" for fault in faults):
            await server.hang_up()
        return f"250 2.0.0 Kept as mail {mail_id}"

    async def refusal(self, server: _Conversation, at: Stage) -> str | None:
        """The answer that a fault at this point gives instead of ours; None when all is well."""
        return await self._refusal(server, self._faults(server, at))

    def _faults(self, server: _Conversation, at: Stage) -> list[MailFault]:
        envelope = server.envelope
        recipients: list[Any] = envelope.rcpt_tos if envelope else []
        recipient = str(recipients[-1]) if recipients else ""
        return self.mailbox.faults.take(at, str(envelope.mail_from) if envelope else "", recipient)

    async def _refusal(self, server: _Conversation, faults: list[MailFault]) -> str | None:
        for fault in faults:
            if fault.kind == "delay":
                await asyncio.sleep(fault.seconds)
            elif fault.kind == "drop":
                await server.hang_up()
            elif fault.kind == "greylist":
                return "451 4.7.1 Grey-listed: please try again later"
            else:
                return f"{fault.code} {fault.code // 100}.0.0 Refused as asked for"
        return None


def _authenticator(users: Mapping[str, str]) -> Any:
    def check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: Any) -> AuthResult:
        known = isinstance(login, LoginPassword) and users.get(login.login.decode()) == login.password.decode()
        return AuthResult(success=known, handled=False)

    return check
