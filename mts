#!/usr/bin/env python3
"""The front door: makes .venv from the pinned lock when needed, then hands over to cli/. Needs Python 3.11+ alone."""

import os
import sys

ROOT = os.path.dirname(os.path.realpath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
LOCK = os.path.join(ROOT, "requirements-dev.lock")
STAMP = os.path.join(VENV, ".made-from")
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
    os.execv(PYTHON, [PYTHON, "-P", "-m", "cli"] + sys.argv[1:])


def use_newer_python():
    """Go on with a newer Python on PATH, or say that one is needed. (This much must run on any Python 3.)"""
    import shutil

    for name in NEWER:
        newer = shutil.which(name)
        if newer:
            os.execv(newer, [newer, os.path.realpath(__file__)] + sys.argv[1:])
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
            if not is_ready(wanted):
                install(wanted)
    except OSError as error:
        sys.exit("mts cannot write %s: %s." % (error.filename, error.strerror))


def install(wanted):
    import shutil
    import time

    begin = time.monotonic()
    uv = shutil.which("uv")
    how = "uv" if uv else "pip, half a minute"
    print("Preparing the environment from %s (once; %s) …" % (os.path.basename(LOCK), how), end=" ", file=sys.stderr)
    sys.stderr.flush()
    if os.path.exists(STAMP):
        os.unlink(STAMP)
    for command in commands(uv):
        run(command)
    with open(STAMP + ".new", "w") as stamp:
        stamp.write(wanted)
    os.replace(STAMP + ".new", STAMP)
    print("done in %.0f s." % (time.monotonic() - begin), file=sys.stderr)


def commands(uv):
    """What makes the environment: every package by its hash, in both ways."""
    if uv:
        make = [uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, VENV]
        fill = [uv, "pip", "sync", "--quiet", "--no-config", "--python", PYTHON]
    else:
        make = [sys.executable, "-m", "venv", "--clear", VENV]
        fill = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", "--no-deps", "-r"]
    return [make, [*fill, "--require-hashes", LOCK] if uv else [*fill, LOCK, "--require-hashes"]]


def run(command):
    """Run one command in a home that exists; its words are shown only when it fails."""
    import subprocess

    environment = {name: value for name, value in os.environ.items() if value or name not in ("HOME", "XDG_CACHE_HOME")}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode == 0:
        return
    print("failed.\n%s" % "\n".join(done.stdout.strip().splitlines()[-20:]), file=sys.stderr)
    if "ensurepip" in done.stdout:
        sys.exit("Python's venv module is incomplete here: install the package python3-venv (or uv), and start again.")
    sys.exit("The environment could not be made. Once the cause above is gone, start again; nothing half-made is used.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
