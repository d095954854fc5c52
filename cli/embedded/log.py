"""The file that a server writes its log lines to."""

import os
from pathlib import Path
from typing import IO

MOST_BYTES = 16 * 1024 * 1024


class ServerLog:
    """A log that starts append to; a long one is put away first, and the one before it dropped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin = 0

    def open(self) -> IO[bytes]:
        """The file to hand to a server that starts now."""
        if self.path.exists() and self.path.stat().st_size > MOST_BYTES:
            self.path.replace(self.path.with_suffix(".1"))
        self.path.touch(0o600)
        file = self.path.open("ab")
        self._begin = file.seek(0, os.SEEK_END)
        return file

    def last_start(self) -> str:
        """What was written since the last `open`."""
        with self.path.open("rb") as file:
            file.seek(self._begin)
            return file.read().decode(errors="replace")
