"""What no file may hold: hosts of registries, paths of one machine, notes for later, too many lines."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from settings import ROOT

LONG, TOO_LONG = 150, 250
LEFT_BEHIND = {".git", ".venv", ".data", ".cache", ".hypothesis", "__pycache__"}


@dataclass(frozen=True)
class Rule:
    """A pattern that no line may match, and what to say about it."""

    pattern: re.Pattern[str]
    sentence: str


RULES = (
    Rule(
        re.compile(
            # Spelt so that this file does not name them either.
            r"\b(?:pyp[i]\.org|pythonhoste[d]\.org|npmj[s]\.(?:org|com)|yarnpk[g]\.com|ghc[r]\.io|qua[y]\.io|docke[r]\.io"
            r"|gc[r]\.io|jsdelivr\.net|unpkg\.com|cdnjs\.cloudflare\.com|fonts\.googleapis\.com)\b"
        ),
        "names the host of a registry or CDN",
    ),
    Rule(re.compile(r"(?<![\w.])/(?:(?:home|Users)/\w|roo[t]/|tmp/\w)"), "names a path of one machine"),
    Rule(re.compile(r"\b(?:TO|FIX)(?:DO|ME)\b"), "holds a note for later"),
)


def main() -> int:
    """Print every finding as `file:line: sentence`; returns 1 when there is one."""
    findings = list(inspect(ROOT))
    print("\n".join(findings))
    return 1 if any(not finding.startswith("note: ") for finding in findings) else 0


def inspect(root: Path) -> Iterator[str]:
    """Findings in the files of the repository at `root`; those that begin with `note: ` are no failures."""
    rules = (*RULES, *_rule_about(root))
    for file in repository_files(root):
        lines = _lines(root / file)
        yield from _broken_rules(file, lines, rules)
        if file.suffix == ".py" and len(lines) > LONG:
            yield _length_finding(file, len(lines))


def repository_files(root: Path) -> list[Path]:
    """Every file that is or would be committed, relative to `root`; without git, all but what tools leave behind."""
    command = ["git", "-c", f"safe.directory={root}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        return sorted(_files_on_disk(root))
    return sorted(Path(name) for name in set(listed.split("\0")) if name and (root / name).is_file())


def _files_on_disk(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name not in LEFT_BEHIND and not name.endswith("_cache")]
        yield from ((Path(folder) / file).relative_to(root) for file in files if file != ".env")


def _rule_about(root: Path) -> Iterator[Rule]:
    """The folder of this very checkout is a path of one machine too; a short one like /app may well be meant."""
    if len(root.parts) > 2:
        yield Rule(re.compile(re.escape(str(root)) + r"\b"), "names the folder of this checkout")


def _lines(file: Path) -> list[str]:
    content = file.read_bytes()
    return [] if b"\0" in content else content.decode(errors="replace").splitlines()


def _broken_rules(file: Path, lines: list[str], rules: tuple[Rule, ...]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        for rule in rules:
            if rule.pattern.search(line):
                yield f"{file}:{number}: {rule.sentence}"


def _length_finding(file: Path, length: int) -> str:
    if length > TOO_LONG:
        return f"{file}: {length} lines; split it, {TOO_LONG} is the limit"
    return f"note: {file} has {length} lines; {LONG} read better"


if __name__ == "__main__":
    sys.exit(main())
