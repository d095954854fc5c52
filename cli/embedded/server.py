"""What the embedded servers share: one folder, one owner, one port, a start that repairs and a stop that waits."""

import os
import signal
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar, Self

from cli.embedded.locks import FileLock, exclusive
from cli.embedded.log import ServerLog
from cli.embedded.ports import is_free, remembered_port
from cli.embedded.process import Process, running, wait_until
from cli.errors import CommandError

START_SECONDS = 120
ADOPT_SECONDS = 20


class ServerError(CommandError):
    """A server that could not be started; the sentence says why and what to do."""


class EmbeddedServer(ABC):
    """One server on 127.0.0.1 whose data live in `data_dir`.

    `port`: a fixed one, else a free one that the folder remembers. `durable` off trades safety against a power cut for
    speed (tests). The process that started the server owns it: a second start elsewhere adopts the running server and
    its `stop` leaves it alone; a server whose owner is gone is ended and started again.
    """

    name: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]
    stop_signals: ClassVar[tuple[tuple[signal.Signals, float], ...]]

    def __init__(self, data_dir: Path, port: int | None = None, durable: bool = True) -> None:
        self.data_dir = Path(data_dir).resolve()
        self.durable = durable
        self._fixed_port = port
        self.port = port or 0
        self._process: Process | None = None
        self._owner = FileLock(self.data_dir / "owner.lock")
        self._log = ServerLog(self.data_dir / "log")

    def start(self) -> None:
        """Start the server, or adopt the one that another process runs in this folder; returns when it answers.

        Raises CommandError (mostly ServerError) with a sentence for the person.
        """
        self._make_folder()
        with exclusive(self.data_dir / "start.lock"):
            if self.alive:
                return
            if not self._owner.take(wait=False):
                self._adopt()
                return
            try:
                self._end_orphan()
                self._prepare()
                self._run()
            except BaseException:
                self._end()
                raise

    def stop(self) -> None:
        """Stop the server when this process owns it; returns when it has ended."""
        self._end()

    def kill(self) -> None:
        """End the server at once, as a crash would; `start` brings it back on the same port."""
        if self._process is not None:
            os.kill(self.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def pid(self) -> int:
        """The server's process id. Raises ServerError when it does not run."""
        pid = self._running_pid()
        if pid is None:
            raise ServerError(f"The embedded {self.name} of {self.data_dir} does not run.")
        return pid

    @property
    def alive(self) -> bool:
        """Whether the server that this object started still runs."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def _prepare(self) -> None:
        """Make or repair the data before a start."""

    @abstractmethod
    def _spawn(self, log: IO[bytes]) -> Process:
        """Start the program on `self.port`."""

    @abstractmethod
    def _recorded(self) -> tuple[int, int] | None:
        """Process id and port that the folder says a server has; both may be out of date."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether the server that the folder records takes connections."""

    def _make_folder(self) -> None:
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            if self.data_dir.stat().st_uid == os.geteuid():
                self.data_dir.chmod(0o711)
            (self.data_dir / "start.lock").touch(0o600)
        except OSError as error:
            trouble = f"{self.data_dir} cannot be written ({error.strerror})."
            raise ServerError(f"{trouble} Set DATA_DIR to a folder of your own.") from None

    def _adopt(self) -> None:
        deadline = time.monotonic() + ADOPT_SECONDS
        while self._running_pid() is None or not self._answers():
            if time.monotonic() > deadline:
                held = f"Another process holds {self.data_dir}"
                raise ServerError(f"{held}, but its {self.name} does not answer. End that process.")
            time.sleep(0.02)
        recorded = self._recorded()
        self.port = recorded[1] if recorded else self.port

    def _end_orphan(self) -> None:
        """End a server whose owner is gone: it would not end with this process."""
        for number, seconds in self.stop_signals:
            pid = self._running_pid()
            if pid is None:
                return
            os.kill(pid, number)
            wait_until(lambda: self._running_pid() is None, seconds)

    def _run(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            self._choose_port()
            with self._log.open() as log:
                self._process = self._spawn(log)
            if wait_until(lambda: not self.alive or self._answers(), deadline - time.monotonic()) and self.alive:
                self._fixed_port = self.port
                return
            reason = self._log.last_start()
            if not self._worth_retrying(reason) or time.monotonic() > deadline:
                told = self._explain(reason)
                raise ServerError(f"{self.name} did not start: {told}\nIts log: {self._log.path}")
            time.sleep(0.1)

    def _choose_port(self) -> None:
        if self._fixed_port is None:
            self.port = remembered_port(self.data_dir / "port")
        elif not wait_until(lambda: is_free(self.port), 2):
            raise ServerError(f"{self.name}: port {self.port} is in use by another program.")

    def _worth_retrying(self, reason: str) -> bool:
        """Whether a start that failed with these log lines may well succeed a moment later."""
        return self._fixed_port is None and "address already in use" in reason.lower()

    def _explain(self, reason: str) -> str:
        """The log lines that tell a person why the start failed."""
        return "\n".join(reason.strip().splitlines()[-4:]) or "it wrote nothing."

    def _running_pid(self) -> int | None:
        if self._process is not None:
            self._process.poll()
        recorded = self._recorded()
        return recorded[0] if recorded and running(recorded[0], self.programs) else None

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            for number, seconds in self.stop_signals:
                if process.poll() is not None:
                    break
                process.send_signal(number)
                wait_until(lambda: process.poll() is not None, seconds)
            process.wait()
        self._owner.release()
