"""`python -m jobs.providers.sandbox`: serve until told to stop; `ready` on standard output when listening."""

import asyncio
import os
import signal
import sys
from functools import partial
from types import FrameType

from jobs.providers.sandbox.config import SandboxConfig, SandboxConfigError
from jobs.providers.sandbox.mail import Mailbox, start_smtp
from jobs.providers.sandbox.server import SandboxServer, bound


async def serve(config: SandboxConfig) -> None:
    """Serve HTTP, and SMTP when it has a port, until SIGTERM or SIGINT. Raises OSError when a port is taken."""
    mailbox = Mailbox(config.data_dir)
    found = bound(config.http_port)
    smtp = await start_smtp(config.smtp_port, mailbox) if config.smtp_port is not None else None
    ready = partial(_announce, found.getsockname()[1], smtp.port if smtp else None)
    try:
        await SandboxServer(config, ready, mailbox).serve(sockets=[found])
    finally:
        if smtp is not None:
            await smtp.stop()


def _announce(http_port: int, smtp_port: int | None) -> None:
    """The ports that were really taken, then the word that a parent process waits for."""
    smtp = f" smtp=127.0.0.1:{smtp_port}" if smtp_port else ""
    sys.stdout.write(f"http=http://127.0.0.1:{http_port}{smtp}\nready\n")
    sys.stdout.flush()


def _stopped(number: int, frame: FrameType | None) -> None:
    """The server passes the signal on once it has stopped in good order; nothing is left to do then."""


def main() -> int:
    """Run from the environment; the exit code."""
    signal.signal(signal.SIGTERM, _stopped)
    signal.signal(signal.SIGINT, _stopped)
    try:
        asyncio.run(serve(SandboxConfig.from_env(os.environ)))
    except (SandboxConfigError, OSError) as error:
        sys.stderr.write(f"The sandbox cannot start: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
