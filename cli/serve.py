"""Serve the API and the dashboard with uvicorn: WORKERS processes on HOST and PORT, ended gracefully by SIGTERM."""

import argparse
import os
import signal

import uvicorn
from starlette.types import ASGIApp

from api.server import HttpProtocol
from api.signing_keys import signing_keys
from cli.embedded.ports import is_free
from cli.embedded.process import end_with_parent
from cli.errors import CommandError
from cli.self_check import refuse_unsafe_start
from settings import Settings

GRACEFUL_SECONDS = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """`mts serve` takes its settings from the environment alone."""


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop. Raises SettingsError, and CommandError when the port is taken or the role unsafe."""
    settings = Settings.from_env(os.environ)
    if not is_free(settings.port, settings.host):
        raise CommandError(f"Port {settings.port} is in use by another program. Set PORT to a free one.")
    signing_keys(settings)
    refuse_unsafe_start(settings)
    os.environ["MTS_SERVE_PID"] = str(os.getpid())
    uvicorn.run(
        "cli.serve:application",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop",
        http=HttpProtocol,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    return 0


def application() -> ASGIApp:
    """The application of one HTTP process, which ends with the process that started it."""
    from api.app import create_app

    parent = int(os.environ["MTS_SERVE_PID"])
    if parent != os.getpid():
        end_with_parent(signal.SIGKILL, parent)
    return create_app()
