"""Run everything on this machine: PostgreSQL, Valkey, the API, a worker, a mail catcher and payment sandboxes.

Each of DATABASE_URL (a superuser's), REDIS_URL, SMTP_URL, STRIPE_SECRET_KEY with STRIPE_WEBHOOK_SECRET,
PAYSTACK_SECRET_KEY and TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, when set, takes the place of the embedded part.
PORT and DATA_DIR choose another port and folder: two instances run side by side. Ctrl-C stops everything; data stay.
"""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from cli.embedded.ports import is_free
from cli.environment import data_dir as data_dir_of
from cli.errors import CommandError
from cli.instance import claim
from cli.running import Running, Stopped
from cli.secrets import kept_secrets
from cli.stack import open_stores
from settings import Settings

# Stand in for what is only known once the servers run, so that wrong settings stop the start before anything else.
NOT_YET_KNOWN = {
    "DATABASE_URL": "postgresql://starting",
    "REDIS_URL": "redis://starting",
    "SMTP_URL": "smtp://starting",
    "JWT_SECRET": "x" * 32,
}


def configure(parser: argparse.ArgumentParser) -> None:
    """`mts dev` takes its settings from the environment alone."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run(args: argparse.Namespace) -> int:
    """Run until interrupted; returns 0 after a clean stop. Raises CommandError and SettingsError with sentences."""
    begin = time.monotonic()
    given = {name: value for name, value in os.environ.items() if value}
    settings = Settings.from_env({**NOT_YET_KNOWN, **given})
    data_dir = _make_data_dir(data_dir_of(given))
    claimed = claim(data_dir)
    try:
        _require_port(settings.host, settings.port)
        return _run(settings, given, data_dir, begin)
    finally:
        (data_dir / "dev.json").unlink(missing_ok=True)
        claimed.release()


def _run(settings: Settings, given: Mapping[str, str], data_dir: Path, begin: float) -> int:
    stop = threading.Event()
    interrupts = _listen_for_stop(stop)
    print(f"Starting on {data_dir}", flush=True)
    known = kept_secrets(data_dir)
    stores = open_stores(given, data_dir, known)
    try:
        running = Running(settings, given, data_dir, known, stores)
        try:
            running.start(stop)
            print(running.summary(time.monotonic() - begin), flush=True)
            while not stop.wait(0.2):
                running.tend()
        except Stopped:
            stop.set()
        finally:
            print("\nStopping …", flush=True)
            running.stop(hurry=lambda: len(interrupts) > 1)
    finally:
        stores.stop()
    print(f"Stopped. The data stay in {data_dir}", flush=True)
    return 0


def _listen_for_stop(stop: threading.Event) -> list[int]:
    """Turn the signals that end a program into `stop`; the list grows by each, so that a second one can hurry us."""
    received: list[int] = []

    def note(number: int, _frame: object) -> None:
        received.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup` has it ignored, and means it; an interrupt is ours even when a shell's `&` took it away.
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, note)
    return received


def _make_data_dir(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / "dev.lock").touch(0o600)
    except OSError as error:
        raise CommandError(
            f"DATA_DIR {path} cannot be used: {error.strerror}. Set it to a folder of your own."
        ) from None
    return path.resolve()


def _require_port(host: str, port: int) -> None:
    try:
        free = is_free(port, host)
    except OSError as error:
        raise CommandError(f"HOST {host}, PORT {port} cannot be listened on: {error.strerror}. Set others.") from None
    if not free:
        other = port + 1 if port < 65_535 else 8080
        raise CommandError(
            f"Port {port} is in use by another program. Set PORT to a free one, for example: PORT={other} {_call()} dev"
        )


def _call() -> str:
    return "./mts" if sys.argv[0].endswith("__main__.py") else sys.argv[0]
