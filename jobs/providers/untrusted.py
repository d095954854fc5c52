"""Makes text that strangers choose safe to put into mail that bears our name."""

import dataclasses
import re
import unicodedata
from typing import Annotated, Any, TypeVar, get_type_hints

NAME_LENGTH = 80
SUBJECT_LENGTH = 200
# A dot to the reader's eye, but neither mail clients nor name servers take it for the dot of a host name.
READ_ONLY_DOT = "\N{ONE DOT LEADER}"

Link = Annotated[str, "link"]
Body = Annotated[str, "body"]
Subject = Annotated[str, "subject"]

Dataclass = TypeVar("Dataclass")

_JOINERS = {"\N{ZERO WIDTH JOINER}", "\N{ZERO WIDTH NON-JOINER}"}
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:/+|\b(?:mailto|tel|sms|data|javascript):", re.IGNORECASE)
# A dot before a letter may lead to a host's ending; IDNA knows three more dots.
_HOST_DOT = re.compile(r"(?<=\w)[.。．｡](?=[^\W\d_])")
_LINK = re.compile(r"https?://[^\s<>\"'\\^`{|}\x00-\x20\x7f-\x9f]+", re.IGNORECASE)


def cleaned(mail: Dataclass) -> Dataclass:
    """A copy of a dataclass in which every text is safe for its kind.

    A plain `str` counts as a name chosen by a stranger, so a field that was forgotten is safe; `Link`, `Subject` and
    `Body` say more by their type. Tuples of dataclasses are cleaned inside. Raises ValueError when a link is no
    http(s) address.
    """
    kinds = get_type_hints(type(mail), include_extras=True)
    values = {field.name: getattr(mail, field.name) for field in dataclasses.fields(mail)}  # type: ignore[arg-type]
    return type(mail)(**{name: _value(kinds[name], value) for name, value in values.items()})


def _value(kind: Any, value: Any) -> Any:
    if isinstance(value, str):
        return {Link: safe_link, Subject: safe_subject, Body: safe_body}.get(kind, safe_name)(value)
    return tuple(cleaned(part) for part in value) if isinstance(value, tuple) else value


def safe_name(text: str) -> str:
    """One line of at most 80 characters, without controls, direction marks and what mail clients turn into links."""
    line = one_line(text)
    while (shorter := _SCHEME.sub("", line)) != line:
        line = shorter
    return _cut(_HOST_DOT.sub(READ_ONLY_DOT, line), NAME_LENGTH)


def safe_subject(text: str) -> str:
    """One line of at most 200 characters; the words are the sender's own."""
    return _cut(one_line(text), SUBJECT_LENGTH)


def safe_body(text: str) -> str:
    """The lines as they are, ended by LF, without control characters other than the tabulator."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in lines if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"})


def safe_link(url: str) -> str:
    """The URL unchanged. Raises ValueError unless it is an http(s) address without blanks, quotes and controls."""
    if not _LINK.fullmatch(url):
        raise ValueError("a link in a mail must be an http or https address")
    return url


def one_line(text: str) -> str:
    """The text without controls and invisible characters; every run of white space is one blank."""
    spaced = (" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in text)
    return " ".join("".join(c for c in spaced if _is_printed(c)).split())


def _is_printed(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in {"Cf", "Cs", "Co", "Cn"}


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
