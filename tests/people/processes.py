"""The product as the processes it has in production, over the stores of a `Stack`, with everything that they print."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import SecretStr

from cli.embedded.ports import free_port
from settings import Settings
from tests.cli.programs import environment
from tests.stack import Stack

START_SECONDS = 40.0


@dataclass
class Processes:
    """A client of the API's process, and the logs of both."""

    http: httpx.AsyncClient
    logs: tuple[Path, ...]
    stack: Stack

    @property
    def output(self) -> str:
        """What both have printed."""
        return "\n".join(log.read_text() for log in self.logs)

    async def work(self) -> None:
        """Wait until the worker has nothing left to do."""
        unfinished = "select 1 from jobs.procrastinate_jobs where status in ('todo', 'doing')"
        await until(lambda: not self.stack.rows(unfinished))


@asynccontextmanager
async def processes(stack: Stack, folder: Path) -> AsyncIterator[Processes]:
    """`mts serve` and `mts worker`, telling all they would ever tell; ended with the block."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    logs = (folder / "serve.log", folder / "worker.log")
    running = [
        _start("serve", stack.settings, logs[0], PORT=str(port)),
        _start("worker", stack.worker_settings, logs[1]),
    ]
    try:
        async with httpx.AsyncClient(base_url=base, timeout=30) as http:
            await until(lambda: "worker.started" in logs[1].read_text() and _answers(base))
            yield Processes(http, logs, stack)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(60)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition to hold."""
    deadline = time.monotonic() + START_SECONDS
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


def variables(settings: Settings) -> dict[str, str]:
    """Settings as the environment has them."""
    given = {name.upper(): value for name, value in settings if value not in (None, ())}
    texts = {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in given.items()}
    return {name: ",".join(value) if isinstance(value, tuple) else str(value) for name, value in texts.items()}


def _start(command: str, settings: Settings, log: Path, **more: str) -> "subprocess.Popen[bytes]":
    known = environment(**variables(settings) | {"LOG_LEVEL": "debug"} | more)
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "cli", command], env=known, stdout=output, stderr=output, cwd="/"
        )


def _answers(base: str) -> bool:
    try:
        return httpx.get(f"{base}/livez").status_code == 200
    except httpx.TransportError:
        return False
