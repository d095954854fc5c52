"""A copy of PostgreSQL's programs in a place that every user may enter."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

PLACES = ("/var/tmp", "/tmp")  # noqa: S108 – only a folder that is ours is used there


def public_copy(programs: Path) -> Path:
    """The folder of the copied programs, made on first use; `programs` is the `bin` folder of an installation.

    A packaged installation has its libraries beside it, found by their relative place: they come along.
    """
    place = next(Path(place) for place in PLACES if os.access(place, os.W_OK))
    stamp = f"{programs} {(programs / 'postgres').stat().st_mtime_ns}"
    copy = place / f"mts-postgres-{hashlib.sha256(stamp.encode()).hexdigest()[:16]}"
    if not _is_ours(copy):
        copy = _filled(copy, programs)
    return copy / programs.relative_to(programs.parents[2])


def _filled(copy: Path, programs: Path) -> Path:
    fresh = Path(tempfile.mkdtemp(prefix="mts-postgres-", dir=copy.parent))
    package = programs.parents[1]
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(programs.parent, fresh / package.name / programs.parent.name)
    if libraries.is_dir():
        shutil.copytree(libraries, fresh / libraries.name)
    fresh.chmod(0o755)
    try:
        return fresh.rename(copy)
    except OSError:
        return copy if _is_ours(copy) else fresh


def _is_ours(copy: Path) -> bool:
    """Whether nobody else made this folder, and nobody else may write in it."""
    if not os.path.lexists(copy):
        return False
    state = copy.lstat()
    return state.st_uid == os.geteuid() and state.st_mode & 0o170022 == 0o040000
