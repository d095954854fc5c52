"""The processes of a started `mts dev`: the sandbox, the API and a worker, kept alive and known to other commands."""

import http.client
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cli.children import Child, Program
from cli.embedded.server import EmbeddedServer
from cli.environment import ROLES
from cli.errors import CommandError
from cli.instance import Instance
from cli.stack import Stores, plan_sandbox, provider_settings
from cli.terminal import say, step
from settings import Settings

READY_SECONDS = 60
SERVER_PAUSE_SECONDS = 5
DEATHS_AT_START = 3


class Stopped(Exception):
    """The start was interrupted."""


class Running:
    """Everything that runs above the stores of one instance."""

    def __init__(
        self, settings: Settings, given: Mapping[str, str], data_dir: Path, known: Mapping[str, str], stores: Stores
    ) -> None:
        self._settings, self._data_dir, self._stores = settings, data_dir, stores
        self._local = f"http://{_reachable(settings.host)}:{settings.port}"
        self._servers_again_at = 0.0
        self._sandbox = plan_sandbox(data_dir, known, f"{self._local}/api/v1/webhooks")
        self._environment = {
            "ENVIRONMENT": "dev",
            "BASE_URL": self._local,
            "JWT_SECRET": known["jwt_secret"],
            **{name: given[name] for name in _setting_names() if name in given},
            **provider_settings(given, known, self._sandbox),
            "REDIS_URL": stores.redis_url,
            "DATA_DIR": str(data_dir),
        }
        self._environment.pop("DATABASE_URL", None)
        self._children = [
            self._child(Program("sandbox", ("jobs.providers.sandbox",), self._sandbox.environment, ready_line="ready")),
            self._child(Program("worker", ("cli", "worker"), self._for_role("app_worker"), grace=20)),
            self._child(Program("api", ("cli", "serve"), self._for_role("app_api"))),
        ]

    def start(self, stop: threading.Event) -> None:
        """Start all processes; returns when they answer.

        Raises Stopped when `stop` is set meanwhile, CommandError when one cannot be started.
        """
        sandbox, worker, api = self._children
        with step("Sandboxes") as told:
            sandbox.start()
            self._wait(sandbox.ready.is_set, stop)
            told.note = f"mail, Stripe, Paystack and SMS on {self._sandbox.url}"
        with step("API, worker") as told:
            worker.start()
            api.start()
            self._wait(lambda: _answers(_reachable(self._settings.host), self._settings.port), stop)
            told.note = f"{self._local}, HTTP processes: {self._settings.workers}"

    def tend(self) -> None:
        """Bring back what died."""
        for server in self._stores.servers:
            if not server.alive and time.monotonic() > self._servers_again_at:
                self._bring_back(server)
        for child in self._children:
            child.tend()

    def stop(self, hurry: Callable[[], bool]) -> None:
        """End the processes: first who takes requests, then who works them off, then the world outside."""
        for child in reversed(self._children):
            child.stop(hurry)

    def summary(self, seconds: float) -> str:
        """Where everything is, for the person at the terminal."""
        roles = ", ".join(role.removeprefix("app_") for role in ROLES)
        mail = self._environment["SMTP_URL"] == self._sandbox.smtp_url
        lines = [
            "",
            f"Ready in {seconds:.1f} s",
            f"  Dashboard and API  {self._environment['BASE_URL']}   (reference: /docs)",
            *([f"  Mail               {self._sandbox.urls['mail']}"] if mail else []),
            f"  Payments and SMS   {self._sandbox.urls['index']}",
            f"  Database           ./mts psql ROLE   ({roles})",
            "  Check              ./mts doctor",
            f"Ctrl-C stops everything; the data stay in {self._data_dir}",
            "",
        ]
        return "\n".join(lines)

    def _child(self, program: Program) -> Child:
        inherited = {name: value for name, value in os.environ.items() if name not in _setting_names()}
        complete = Program(
            program.name, program.arguments, {**inherited, **program.environment}, program.grace, program.ready_line
        )
        return Child(complete, self._publish)

    def _for_role(self, role: str) -> dict[str, str]:
        return {**self._environment, "DATABASE_URL": self._stores.urls[role]}

    def _publish(self) -> None:
        pids = {child.name: child.pid for child in self._children}
        pids |= {server.name.lower(): server.pid for server in self._stores.servers if server.alive}
        Instance(
            pid=os.getpid(),
            port=self._settings.port,
            base_url=self._environment["BASE_URL"],
            database=self._stores.database,
            database_urls=self._stores.urls,
            redis_url=self._stores.redis_url,
            smtp_url=self._environment["SMTP_URL"],
            sandbox=self._sandbox.urls,
            environment=self._environment,
            pids={name: pid for name, pid in pids.items() if pid is not None},
        ).write(self._data_dir)

    def _wait(self, condition: Callable[[], bool], stop: threading.Event) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not condition():
            if stop.wait(0.02):
                raise Stopped
            self.tend()
            broken = [child.name for child in self._children if child.deaths >= DEATHS_AT_START]
            if broken or time.monotonic() > deadline:
                who = ", ".join(broken) or "everything within a minute"
                raise CommandError(f"Could not start {who}; the lines above say why.")

    def _bring_back(self, server: EmbeddedServer) -> None:
        say(server.name, "ended; starting it again")
        try:
            server.start()
            self._publish()
        except CommandError as error:
            say(server.name, str(error))
            self._servers_again_at = time.monotonic() + SERVER_PAUSE_SECONDS


def _setting_names() -> set[str]:
    return {name.upper() for name in Settings.model_fields}


def _reachable(host: str) -> str:
    """The address under which this machine reaches a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(host, host)  # noqa: S104 – not listened on here


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
