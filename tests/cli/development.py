"""Runs `mts dev` in tests: started in a folder of its own, listened to, ended."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from cli.embedded.ports import free_port
from tests.cli.programs import environment, eventually, is_gone


class Development:
    """One `mts dev` on `folder`; `settings` go into its environment."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.settings = {"PORT": str(free_port()), "DATA_DIR": str(folder), **settings}
        self.printed = folder.with_name(f"{folder.name}.out")

    def __enter__(self) -> "Development":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        with self.printed.open("wb") as output:
            command = [sys.executable, "-P", "-m", "cli", "dev"]
            self.process = subprocess.Popen(command, env=self.environment, cwd="/", stdout=output, stderr=output)
        eventually(lambda: "Ready in" in self.output or self.process.poll() is not None, 60)
        assert self.process.poll() is None, self.output

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ask it to stop; returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command that looks for this instance."""
        return environment(**self.settings)

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return self.printed.read_text()

    @property
    def state(self) -> dict[str, Any]:
        """What DATA_DIR/dev.json says."""
        content: dict[str, Any] = json.loads((self.folder / "dev.json").read_text())
        return content

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of its servers and processes, by name."""
        return dict(self.state["pids"])

    def get(self, path: str) -> bytes:
        """The body of an answer of the API."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.settings['PORT']}{path}", timeout=5) as answer:
            body: bytes = answer.read()
        return body

    def is_healthy(self) -> bool:
        """Whether the API, and Postgres and Redis behind it, answer."""
        try:
            return b"healthy" in self.get("/health")
        except OSError:
            return False

    def kill(self, name: str) -> None:
        """End one of its processes at once, and wait until another has taken its place."""
        pid = self.pids[name]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: self.pids.get(name, pid) != pid, 30)

    def everything_is_gone(self, pids: dict[str, int]) -> bool:
        """Whether none of these processes runs any more."""
        return all(is_gone(pid) for pid in pids.values())
