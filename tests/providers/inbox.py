"""A real HTTP server that takes in what providers post, and answers as it is told."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Posted:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


class Inbox:
    """What has been posted so far; `statuses` are the next answers, 200 after them."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.posted: list[Posted] = []
        self.statuses: list[int] = []
        self.changed = threading.Condition()

    def take(self, posted: Posted) -> int:
        """Keep a request; the status to answer with."""
        with self.changed:
            self.posted.append(posted)
            self.changed.notify_all()
            return self.statuses.pop(0) if self.statuses else 200

    def wait(self, count: int, seconds: float = 10) -> list[Posted]:
        """The requests once there are at least `count`."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.posted) >= count, seconds), f"only {len(self.posted)} came"
            return list(self.posted)

    def wait_for(self, word: bytes, seconds: float = 10) -> Posted:
        """The first request whose body holds `word`."""
        end = time.monotonic() + seconds
        with self.changed:
            while True:
                found = next((posted for posted in self.posted if word in posted.body), None)
                if found:
                    return found
                assert self.changed.wait(end - time.monotonic()), f"{word!r} did not come"


@contextmanager
def inbox_server() -> Iterator[Inbox]:
    """An inbox on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(inbox.take(Posted(self.path, headers, body)))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    inbox = Inbox(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
