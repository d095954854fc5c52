#!/usr/bin/env python3
"""The front door: makes .venv from the pinned lock when needed, then hands over to cli/. Needs Python 3.11+ alone."""

import os
import sys

ROOT = os.path.dirname(os.path.realpath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
LOCK = os.path.join(ROOT, "requirements-dev.lock")
STAMP = os.path.join(VENV, ".made-from")
INHERITED = []
NEWER = ("python3.13", "python3.12", "python3.11", "python3.14")


def main():
    if sys.version_info < (3, 11):
        use_newer_python()
    wanted = lock_digest()
    if not is_ready(wanted):
        make_environment(wanted)
    paths = [ROOT, os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    # -P: a folder called `cli` where the caller happens to stand must not win over ours.
    os.execv(PYTHON, [PYTHON, "-P", "-m", "cli", *sys.argv[1:]])


def use_newer_python():
    """Go on with a newer Python on PATH, or say that one is needed. (This much must run on any Python 3.)"""
    import shutil

    for name in NEWER:
        newer = shutil.which(name)
        if newer:
            os.execv(newer, [newer, os.path.realpath(__file__), *sys.argv[1:]])
    sys.exit("mts needs Python 3.11 or newer; this is %d.%d. Install one and start again." % sys.version_info[:2])


def lock_digest():
    import hashlib

    with open(LOCK, "rb") as lock:
        return hashlib.sha256(lock.read()).hexdigest()


def is_ready(wanted):
    """Whether .venv is whole and made from this very lock: the stamp is written last."""
    try:
        with open(STAMP) as stamp:
            return stamp.read() == wanted and os.access(PYTHON, os.X_OK)
    except OSError:
        return False


def make_environment(wanted):
    """Make .venv anew, while any other start waits here."""
    try:
        import fcntl
    except ImportError:
        sys.exit("mts runs on Linux and macOS. On Windows, use it inside WSL.")
    try:
        with open(VENV + ".lock", "w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            # Inherited by what we run: an installer that outlives us keeps its turn until it has ended.
            INHERITED.append(turn.fileno())
            if not is_ready(wanted):
                install(wanted)
    except OSError as error:
        sys.exit("mts cannot write %s: %s." % (error.filename, error.strerror))


def install(wanted):
    import time

    begin = time.monotonic()
    print("Preparing the environment from %s (once) …" % os.path.basename(LOCK), end=" ", file=sys.stderr, flush=True)
    # With a stamp the environment is whole, only of another lock; without one it was never finished: from nothing.
    fresh = not (os.path.exists(STAMP) and os.access(PYTHON, os.X_OK))
    if os.path.exists(STAMP):
        os.unlink(STAMP)
    with_uv(fresh) or with_pip(fresh)
    with open(STAMP + ".new", "w") as stamp:
        stamp.write(wanted)
    os.replace(STAMP + ".new", STAMP)
    print("done in %.0f s." % (time.monotonic() - begin), file=sys.stderr)


def with_uv(fresh):
    """Make the environment what the lock says, with uv; False without uv, and when it does not manage."""
    import shutil

    uv = shutil.which("uv")
    if not uv:
        return False
    make = [uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, VENV]
    fill = [uv, "pip", "sync", "--quiet", "--require-hashes", "--allow-empty-requirements", "--python", PYTHON, LOCK]
    return all(run(command).returncode == 0 for command in ([make, fill] if fresh else [fill]))


def with_pip(fresh):
    """Make the environment what the lock says, with what Python brings; ends with a sentence when that fails."""
    if fresh:
        required(run([sys.executable, "-m", "venv", "--clear", VENV]))
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    required(run([*pip, "install", "--quiet", "--no-deps", "--require-hashes", "--requirement", LOCK]))
    superfluous = installed(pip) - locked()
    if superfluous:
        required(run([*pip, "uninstall", "--yes", *sorted(superfluous)]))


def installed(pip):
    """The names of the packages in the environment, without those that came with it."""
    listed = required(run([*pip, "list", "--format=freeze"]))
    return {plain(line.split("==")[0]) for line in listed.splitlines() if "==" in line} - {"pip", "setuptools"}


def locked():
    """The names of the packages in the lock."""
    with open(LOCK) as lock:
        return {plain(line.split("==")[0]) for line in lock if "==" in line and line[0].isalnum()}


def plain(name):
    return name.strip().lower().replace("_", "-").replace(".", "-")


def required(done):
    """What a command said; ends with its last words and a sentence when it failed."""
    if done.returncode == 0:
        return done.stdout
    print("failed.\n" + "\n".join(done.stdout.strip().splitlines()[-20:]), file=sys.stderr)
    sys.exit(advice(done.stdout))


def advice(said):
    if "ensurepip" in said:
        return "Python's venv module is incomplete here: install the package python3-venv (or uv), and start again."
    return "The environment could not be made. Once the cause above is gone, start again: nothing half-made is used."


def run(command):
    """Run one command in a home that exists; its words are kept for the case that it fails."""
    import subprocess

    environment = {name: value for name, value in os.environ.items() if value or name not in ("HOME", "XDG_CACHE_HOME")}
    return subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        pass_fds=INHERITED,
    )  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
