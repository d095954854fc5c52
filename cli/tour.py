"""Walk from sign-up to a paid invoice on a fresh installation of its own, with the real requests and answers."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from cli.embedded.ports import free_port
from cli.errors import CommandError
from cli.instance import Instance, live_instance
from cli.tour_http import Guide
from cli.tour_steps import walk
from settings import ROOT

START_SECONDS = 120.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Where the tour's installation listens."""
    parser.add_argument("--port", type=int, default=0, help="port of the API; a free one by default")


def run(args: argparse.Namespace) -> int:
    """Start an installation in a temporary folder, walk, stop it. Raises CommandError at the first wrong answer."""
    with tempfile.TemporaryDirectory(prefix="mts-tour-") as folder:
        Path(folder).chmod(0o711)
        with installation(Path(folder) / "data", args.port or free_port()) as (instance, environment):
            guide = Guide(instance.base_url, instance.sandbox["index"].rstrip("/"))
            try:
                walk(guide, lambda month: _mts(environment, "close-month", month, "--unfinished"))
            except CommandError as error:
                said = (Path(folder) / "dev.log").read_text(errors="replace")
                raise CommandError(f"{error}\nThe installation's last words:\n{said[-4000:]}") from None
            finally:
                guide.close()
    print("\nThat was the whole way. `./mts dev` runs the same for you to try.")
    return 0


@contextlib.contextmanager
def installation(data_dir: Path, port: int) -> Iterator[tuple[Instance, dict[str, str]]]:
    """A running `mts dev` with data of its own, and the environment that leads other commands to it."""
    environment = _own_environment() | {
        "DATA_DIR": str(data_dir),
        "PORT": str(port),
        "BASE_URL": f"http://127.0.0.1:{port}",
    }
    log = data_dir.parent / "dev.log"
    print(f"Starting an installation of its own on port {port} …", flush=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "dev"], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield _wait(process, data_dir, log), environment
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _own_environment() -> dict[str, str]:
    """This one's, without the settings that would lead the tour to another installation."""
    outside = ("DATABASE_URL", "REDIS_URL", "SMTP_URL", "STRIPE_", "PAYSTACK_", "TWILIO_", "ADMIN_DATABASE_URL")
    return {name: value for name, value in os.environ.items() if not name.startswith(outside)}


def _wait(process: subprocess.Popen[bytes], data_dir: Path, log: Path) -> Instance:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        instance = live_instance(data_dir)
        if instance is not None and _is_ready(instance):
            return instance
        time.sleep(0.1)
    raise CommandError(f"The installation did not start:\n{log.read_text(errors='replace')[-4000:]}")


def _is_ready(instance: Instance) -> bool:
    try:
        return httpx.get(f"{instance.base_url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _mts(environment: dict[str, str], *words: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-m", "cli", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if finished.returncode:
        raise CommandError(f"mts {' '.join(words)} failed:\n{finished.stdout}{finished.stderr}")
    return finished.stdout
