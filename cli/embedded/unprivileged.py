"""PostgreSQL refuses to run as root: finds whom to start it as, so that it can still enter its folders."""

import ctypes
import os
import pwd
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.embedded.process import LIBC
from cli.embedded.public_copy import public_copy
from cli.errors import CommandError

PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
CLONE_NEWUSER = 0x10000000
PROBE = 'test "$(id -u)" != 0 && cd "$1" && test -w . && test -x "$2"'


@dataclass(frozen=True)
class Way:
    """Whom a server runs as: the owner of its folder, what its process does first, and where its programs are."""

    uid: int
    gid: int
    enter: Callable[[], None]
    programs: Path


def find_way(folder: Path, programs: Path) -> Way:
    """The first way in which a server may write `folder`, which is handed to that owner, and run what is in `programs`.

    Raises CommandError when there is none.
    """
    for way in _ways(programs):
        _hand_over(folder, way)
        if _works(way, folder):
            return way
    raise CommandError(
        f"PostgreSQL does not run as this user, and nobody else can enter {folder}. "
        "Start as an ordinary user, or put the project and DATA_DIR where everybody may enter, or set DATABASE_URL."
    )


def _ways(programs: Path) -> Iterator[Way]:
    uid, gid = os.geteuid(), os.getegid()
    nobody, group = _nobody()
    if uid == 0:
        yield Way(nobody, group, lambda: _become(nobody, group), programs)
    elif _has_name(uid):
        yield Way(uid, gid, lambda: None, programs)
    if sys.platform == "linux":
        yield Way(uid, gid, lambda: _rename_user(uid, gid, nobody, group), programs)
        if uid == 0:
            yield _with_capability(nobody, group, programs)


def _with_capability(uid: int, gid: int, programs: Path) -> Way:
    """As a user whom no folder is closed to, except for access(2), with which PostgreSQL looks at its programs."""
    plain = Way(uid, gid, lambda: _become(uid, gid), programs)
    reachable = programs if _works(plain, Path("/tmp")) else public_copy(programs)  # noqa: S108 – only entered
    return Way(uid, gid, lambda: _become(uid, gid, CAP_DAC_OVERRIDE), reachable)


def _nobody() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return 65_534, 65_534
    return entry.pw_uid, entry.pw_gid


def _has_name(uid: int) -> bool:
    """Whether the system knows a name for `uid`: initdb refuses to run without."""
    try:
        return bool(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return False


def _become(uid: int, gid: int, kept_capability: int | None = None) -> None:
    """Turn from root into another user; keep at most one capability, also through the start of the program."""
    if kept_capability is not None:
        _checked(LIBC.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if kept_capability is not None:
        bit = 1 << kept_capability
        header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
        _checked(LIBC.capset(header, struct.pack("6I", bit, bit, bit, 0, 0, 0)))
        _checked(LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept_capability, 0, 0))


def _rename_user(uid: int, gid: int, inside_uid: int, inside_gid: int) -> None:
    """Enter a user namespace in which this very user goes by another, ordinary and named id."""
    _checked(LIBC.unshare(CLONE_NEWUSER))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inside_uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{inside_gid} {gid} 1")


def _checked(answer: int) -> None:
    if answer != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _hand_over(folder: Path, way: Way) -> None:
    """Make the way's user the owner of everything in `folder`; the folder itself last, as the mark that all is done."""
    if folder.stat().st_uid == way.uid or os.geteuid() != 0:
        return
    for path in [*folder.rglob("*"), folder]:
        os.chown(path, way.uid, way.gid, follow_symlinks=False)


def _works(way: Way, folder: Path) -> bool:
    command = ["/bin/sh", "-c", PROBE, "sh", str(folder), str(way.programs / "postgres")]
    try:
        probe = subprocess.run(command, preexec_fn=way.enter, cwd="/", stderr=subprocess.DEVNULL, check=False)
    except subprocess.SubprocessError:
        return False
    return probe.returncode == 0
