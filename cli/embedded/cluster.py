"""The data folder of a PostgreSQL server: made whole or not at all, repaired after a start that was cut off."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from cli.embedded.binaries import postgres_major
from cli.embedded.unprivileged import Way, find_way
from cli.errors import CommandError

SUPERUSER = "postgres"


def repair(cluster: Path) -> None:
    """Remove what a start that was cut off left; move a folder that was never whole aside, nothing in it can start."""
    for leftover in cluster.parent.glob(f"{cluster.name}.new*"):
        shutil.rmtree(leftover)
    needed = (cluster / "PG_VERSION", cluster / "global" / "pg_control")
    if cluster.exists() and not all(path.exists() for path in needed):
        cluster.rename(cluster.with_name(f"{cluster.name}.broken-{time.time_ns()}"))


def initialise(cluster: Path, password: str, programs: Path) -> Way:
    """Make the cluster under another name and rename it when whole; returns whom its server runs as.

    Raises CommandError with what initdb said.
    """
    fresh = cluster.with_name(f"{cluster.name}.new")
    fresh.mkdir(0o700)
    way = find_way(fresh, programs)
    handed_over = cluster.with_name(f"{cluster.name}.new-password")
    handed_over.mkdir(0o700)
    secret = handed_over / "password"
    secret.write_text(password)
    for path in (secret, handed_over):
        os.chown(path, way.uid, way.gid)
    try:
        _initdb(fresh, secret, way)
    finally:
        shutil.rmtree(handed_over)
    fresh.rename(cluster)
    return way


def environment() -> dict[str, str]:
    """The caller's environment without the variables that would steer PostgreSQL, in plain English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _initdb(folder: Path, secret: Path, way: Way) -> None:
    modern = postgres_major(way.programs) >= 17
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"] if modern else ["--locale=C"]
    access = ["--auth=scram-sha-256", f"--username={SUPERUSER}", f"--pwfile={secret}"]
    made = subprocess.run(
        [way.programs / "initdb", "--no-sync", "--encoding=UTF8", *locale, *access, "-D", folder],
        capture_output=True,
        text=True,
        env=environment(),
        cwd="/",
        preexec_fn=way.enter,
        check=False,
    )
    if made.returncode != 0:
        told = made.stderr.strip() or made.stdout.strip()
        raise CommandError(f"PostgreSQL could not make its data folder: {told}")
