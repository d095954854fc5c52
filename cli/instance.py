"""The running `mts dev` of a data folder, as other commands find it: DATA_DIR/dev.json and the lock beside it."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cli.embedded.locks import FileLock, is_held
from cli.errors import CommandError
from cli.private_files import read_private, write_private

SHARED_LOOK_SECONDS = 1


@dataclass(frozen=True)
class Instance:
    """Where everything of one running `mts dev` is; `environment` holds the settings of its processes."""

    pid: int
    port: int
    base_url: str
    database: str
    database_urls: dict[str, str]
    redis_url: str
    smtp_url: str
    sandbox: dict[str, str]
    environment: dict[str, str]
    pids: dict[str, int] = field(default_factory=dict)

    def write(self, data_dir: Path) -> None:
        """Let other commands find this instance."""
        write_private(data_dir / "dev.json", asdict(self))


def live_instance(data_dir: Path) -> Instance | None:
    """The instance that runs on this folder now; None when none does, also when one was killed and left its file."""
    if not is_held(data_dir / "dev.lock"):
        return None
    content = read_private(data_dir / "dev.json")
    return Instance(**content) if content else None


def claim(data_dir: Path) -> FileLock:
    """Become the one `mts dev` of this folder. Raises CommandError, telling which one runs, when there is one."""
    lock = FileLock(data_dir / "dev.lock")
    deadline = time.monotonic() + SHARED_LOOK_SECONDS
    while not lock.take(wait=False):
        # Another command that only looks holds the lock for a moment.
        if time.monotonic() > deadline:
            raise CommandError(_occupied(data_dir))
        time.sleep(0.02)
    (data_dir / "dev.json").unlink(missing_ok=True)
    return lock


def _occupied(data_dir: Path) -> str:
    other = live_instance(data_dir)
    where = f"process {other.pid}, {other.base_url}" if other else "it is just starting or stopping"
    return (
        f"`mts dev` already runs on {data_dir} ({where}). "
        "Stop it first, or run a second one beside it: DATA_DIR=… PORT=… ./mts dev"
    )
