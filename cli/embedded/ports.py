"""Free ports on the loopback, remembered so that a restart keeps them."""

import errno
import random
import socket
from pathlib import Path

# Below every system's range for outgoing connections: a client that keeps trying to reconnect to a stopped server
# can otherwise be given the very port it dials and connect to itself.
FIRST, LAST = 15_000, 32_000


def free_port() -> int:
    """A port on 127.0.0.1 that nothing listens on now."""
    while True:
        port = random.randint(FIRST, LAST)  # noqa: S311 – not a secret
        if is_free(port):
            return port


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on `host`:`port` now. Raises OSError when `host` is not of this machine."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def remembered_port(path: Path) -> int:
    """The port kept in the file `path` when it is free, else a new free one, kept there from now on."""
    try:
        kept = int(path.read_text())
    except (FileNotFoundError, ValueError):
        kept = 0
    if 0 < kept < 65_536 and is_free(kept):
        return kept
    chosen = free_port()
    path.write_text(f"{chosen}\n")
    return chosen
