"""The rules of hadolint that matter here, by their own numbers: what a Dockerfile must not do."""

import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import PurePosixPath

from tests.packaging.dockerfile import Instruction

Program = list[Instruction]
Rule = Callable[[Program], bool]


def of(program: Program, *keywords: str) -> Program:
    """The instructions with one of the keywords."""
    return [instruction for instruction in program if instruction.keyword in keywords]


def some(*keywords: str, where: Callable[[Instruction], bool]) -> Rule:
    """Broken when one of these instructions is so."""
    return lambda program: any(where(instruction) for instruction in of(program, *keywords))


def runs(*names: str) -> Rule:
    """Broken when a RUN calls one of these programs."""
    return lambda program: any(words[0] in names for words in _commands(program))


def installs(installer: str, where: Callable[[list[str]], bool]) -> Rule:
    """Broken when `installer … install …` is so; `where` gets the words of the command."""
    return lambda program: any(
        words[0] == installer and "install" in words and where(words) for words in _commands(program)
    )


def twice(keyword: str) -> Rule:
    """Broken when a stage has the instruction more than once."""
    return lambda program: any(times > 1 for times in Counter(i.stage for i in of(program, keyword)).values())


def _commands(program: Program) -> list[list[str]]:
    return [words for run in of(program, "RUN") for words in run.commands if words]


def _aliases(program: Program) -> dict[str, int]:
    return {source.arguments[2]: source.stage for source in of(program, "FROM") if len(source.arguments) == 3}


def _tagless(program: Program) -> bool:
    images = {source.arguments[0] for source in of(program, "FROM")} - set(_aliases(program))
    return any(":" not in image for image in images)


def _ends_as_root(program: Program) -> bool:
    users = [user for user in of(program, "USER") if user.stage == program[-1].stage]
    return not users or users[-1].arguments[0].partition(":")[0] in {"root", "0"}


def _copies_from_nowhere(program: Program) -> bool:
    copies = [copy for copy in of(program, "COPY") if "from" in copy.flags]
    return any(_aliases(program).get(copy.flags["from"], copy.stage) >= copy.stage for copy in copies)


def _copies_to_an_unknown_folder(program: Program) -> bool:
    return any(
        not PurePosixPath(copy.arguments[-1]).is_absolute()
        and copy.stage not in {workdir.stage for workdir in of(program[: program.index(copy)], "WORKDIR")}
        for copy in of(program, "COPY")
    )


def _unpinned(words: list[str]) -> bool:
    return any("=" not in word for word in words[words.index("install") + 1 :] if not word.startswith("-"))


def _leaves_lists(run: Instruction) -> bool:
    return "apt-get" in run.text and "rm -rf /var/lib/apt/lists" not in run.text


def _no_port(expose: Instruction) -> bool:
    return any(not 0 < int(port.partition("/")[0]) < 65536 for port in expose.arguments)


FOR_PEOPLE = ("ssh", "vim", "shutdown", "service", "ps", "free", "top", "kill", "mount", "ifconfig")

RULES: dict[str, Rule] = {
    "DL3000 relative WORKDIR": some("WORKDIR", where=lambda i: not i.arguments[0].startswith("/")),
    "DL3001 commands for people": runs(*FOR_PEOPLE),
    "DL3002 last USER is root": _ends_as_root,
    "DL3003 cd instead of WORKDIR": runs("cd"),
    "DL3004 sudo": runs("sudo"),
    "DL3006 image without a tag": _tagless,
    "DL3007 latest": some("FROM", where=lambda i: i.arguments[0].endswith(":latest")),
    "DL3008 unpinned system packages": installs("apt-get", _unpinned),
    "DL3009 package lists left behind": some("RUN", where=_leaves_lists),
    "DL3011 impossible port": some("EXPOSE", where=_no_port),
    "DL3012 two HEALTHCHECKs": twice("HEALTHCHECK"),
    "DL3013 unpinned Python packages": installs("pip", lambda words: not {"-r", "--requirement"} & set(words)),
    "DL3014 apt-get asks": installs("apt-get", lambda words: "-y" not in words),
    "DL3015 recommended packages": installs("apt-get", lambda words: "--no-install-recommends" not in words),
    "DL3020 ADD": some("ADD", where=lambda _: True),
    "DL3021 several files to a file": some(
        "COPY", where=lambda i: len(i.arguments) > 2 and not i.arguments[-1].endswith("/")
    ),
    "DL3022 COPY from no earlier stage": _copies_from_nowhere,
    "DL3025 shell form": some("CMD", "ENTRYPOINT", where=lambda i: not i.text.startswith("[")),
    "DL3027 apt": runs("apt"),
    "DL3029 fixed platform": some("FROM", where=lambda i: "platform" in i.flags),
    "DL3042 cache of pip in a layer": installs("pip", lambda words: "--no-cache-dir" not in words),
    "DL3045 target without WORKDIR": _copies_to_an_unknown_folder,
    "DL3059 consecutive RUNs": lambda program: any(a.keyword == b.keyword == "RUN" for a, b in pairwise(program)),
    "DL4000 MAINTAINER": some("MAINTAINER", where=lambda _: True),
    "DL4003 two CMDs": twice("CMD"),
    "DL4004 two ENTRYPOINTs": twice("ENTRYPOINT"),
    "DL4006 pipe without pipefail": some("RUN", where=lambda i: bool(re.search(r"[^|]\|[^|]", i.text))),
}
