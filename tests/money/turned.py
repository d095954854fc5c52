"""A worker, or the providers' sandbox, by the simulation's clock: `python -m tests.money.turned worker FILE`.

The clock is a file that every process of the simulation reads; whoever turns it turns it for all.
"""

import asyncio
import os
import signal
import struct
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cli.embedded.process import end_with_parent
from jobs import logs, worker
from jobs.providers.sandbox import __main__ as sandbox
from jobs.providers.sandbox.paystack import objects
from jobs.resources import open_resources
from settings import Settings

AT_ONCE = {"billing": 6}
"""Mail is left in its queue: what is sent, and how often, is written in its own table."""


class SharedClock:
    """The time now, turned by the seconds that a file holds."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)
        if not os.fstat(self._file).st_size:
            self.turn_to(datetime.now(UTC))

    def seconds(self) -> float:
        """How far it is turned."""
        turned: float = struct.unpack("d", os.pread(self._file, 8, 0))[0]
        return turned

    def now(self) -> datetime:
        """The time now, aware, in UTC."""
        return datetime.now(UTC) + timedelta(seconds=self.seconds())

    def turn_to(self, moment: datetime) -> None:
        """From now on it is this time, for every process."""
        os.pwrite(self._file, struct.pack("d", (moment - datetime.now(UTC)).total_seconds()), 0)


async def work(clock: SharedClock) -> None:
    """Work on the billing queue until killed; nothing fires by itself."""
    settings = Settings.from_env(os.environ)
    logs.configure(settings.log_level)
    async with open_resources(settings, clock) as resources:
        await worker.work(resources, settings.database_url.get_secret_value(), periodic=False, at_once=AT_ONCE)


def main(what: str, path: str) -> int:
    """Run one of the two, no longer than the simulation; the exit code."""
    end_with_parent(signal.SIGKILL, os.getppid())
    clock = SharedClock(Path(path))
    if what == "worker":
        worker.HEARTBEAT_SECONDS = 1.0
        asyncio.run(work(clock))
        return 0
    real = time.time
    time.time = lambda: real() + clock.seconds()
    objects.stamp = lambda: clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return sandbox.main()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
