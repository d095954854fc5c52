"""Reads a Dockerfile into its instructions."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Instruction:
    """One instruction: `RUN`, its text with continued lines joined, and the number of its stage (0 is the first)."""

    keyword: str
    text: str
    stage: int

    @property
    def flags(self) -> dict[str, str]:
        """The `--name=value` flags in front of the arguments."""
        return dict(re.findall(r"(?:^|(?<=\s))--([a-z-]+)=(\S+)", self.text))

    @property
    def arguments(self) -> list[str]:
        """The words after the flags, or the words of the JSON form."""
        bare = re.sub(r"^(?:--\S+\s+)+", "", self.text)
        return [str(word) for word in json.loads(bare)] if bare.startswith("[") else bare.split()

    @property
    def commands(self) -> list[list[str]]:
        """The shell commands of a RUN, as words."""
        return [part.split() for part in re.split(r"&&|\|\||;|\|", self.text)]


def parse(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile in order, without comments."""
    return list(_numbered(_logical_lines(text)))


def _logical_lines(text: str) -> Iterator[str]:
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\s*\\\n\s*", " ", kept).splitlines():
        if line.strip():
            yield line.strip()


def _numbered(lines: Iterator[str]) -> Iterator[Instruction]:
    stage = -1
    for line in lines:
        keyword, _, text = line.partition(" ")
        stage += keyword.upper() == "FROM"
        yield Instruction(keyword.upper(), text.strip(), stage)
