"""JSON files that only their owner may read, replaced whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

from cli.errors import CommandError


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Replace the file at `path` by `content`, mode 0600."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 – has no mode
        json.dump(content, file, indent=2)
    fresh.replace(path)


def read_private(path: Path) -> dict[str, Any] | None:
    """The content of the file, None when there is none. Raises CommandError when it is not ours or not JSON."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except PermissionError:
        raise CommandError(f"{path} belongs to another user. Start as that user, or choose another DATA_DIR.") from None
    except ValueError:
        raise CommandError(f"{path} is not valid JSON. Put it back, or remove it to have it made anew.") from None
    return dict(content)
