"""Reads the ways to break the guards: blocks of SQL under a line `-- what is broken → what must notice`."""

import re
from pathlib import Path
from typing import LiteralString, cast

BLOCK = re.compile(r"^-- (.+?) → (.+)$", re.MULTILINE)


def read(name: str) -> dict[str, tuple[LiteralString, str]]:
    """The file's blocks: what is broken → (the statements, what must notice)."""
    parts = BLOCK.split(Path(__file__).with_name(name).read_text())[1:]
    return {
        broken: (cast("LiteralString", statements), notices)
        for broken, notices, statements in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    }


MUTATIONS = read("mutations.sql")
OPENINGS = read("openings.sql")
