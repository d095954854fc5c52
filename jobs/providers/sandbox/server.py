"""Serving the sandboxes on a port of this machine, as a process of its own or in a thread of a test."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn

from jobs.providers.sandbox.app import create_app
from jobs.providers.sandbox.config import SandboxConfig
from jobs.providers.sandbox.mail import Mailbox


class SandboxServer(uvicorn.Server):
    """The HTTP server; calls `ready` once it listens."""

    def __init__(self, config: SandboxConfig, ready: Callable[[], None], mailbox: Mailbox | None = None) -> None:
        app = create_app(config, mailbox)
        super().__init__(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2))
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then say so."""
        await super().startup(sockets)
        if self.started:
            self.ready()


def bound(port: int) -> socket.socket:
    """A socket on 127.0.0.1; 0 takes any free port. Raises OSError when the port is taken."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(("127.0.0.1", port))
    except OSError:
        found.close()
        raise
    return found


@contextlib.contextmanager
def running(config: SandboxConfig) -> Iterator[str]:
    """The sandboxes in a thread, on `config.http_port`; gives their base address. Raises TimeoutError."""
    found = bound(config.http_port)
    ready = threading.Event()
    server = SandboxServer(config, ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [found]}, name="sandbox")
    thread.start()
    try:
        if not ready.wait(20):
            raise TimeoutError("the sandbox did not start")
        yield f"http://127.0.0.1:{found.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        found.close()
