"""Turns a mail into its subject, HTML and text, from the templates of templates/email."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from jobs.providers import mail_words
from jobs.providers.mail_kinds import Mail, MailKind
from jobs.providers.mail_samples import samples
from jobs.providers.untrusted import cleaned, one_line
from settings import ROOT

__all__ = ["PRODUCT", "Rendered", "kind_of", "render", "samples"]

PRODUCT = "MTS"

_FILTERS = ("money", "day", "moment", "count", "hours", "days", "article")


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a mail says: one line of subject, a whole HTML document, and hand-written text."""

    subject: str
    html: str
    text: str


def render(mail: Mail) -> Rendered:
    """The mail's subject, HTML and text. Text that strangers chose is made safe first.

    Raises ValueError when a link is no http(s) address.
    """
    kind = kind_of(mail)
    words = _variables(cleaned(mail))
    head, _, text = _templates.get_template(f"{kind}.txt").render(words).partition("\n\n")
    subject = one_line(head.removeprefix("Subject:"))
    html = _templates.get_template(f"{kind}.html").render({**words, "subject": subject})
    return Rendered(subject, html, text.strip("\n") + "\n")


def kind_of(mail: Mail) -> MailKind:
    """The kind's name, which is also the name of its two templates: `PasswordReset` → `password_reset`."""
    return cast(MailKind, re.sub(r"(?<!^)(?=[A-Z])", "_", type(mail).__name__).lower())


def _variables(mail: Mail) -> Mapping[str, object]:
    """The mail's fields and properties by name."""
    return {name: getattr(mail, name) for name in dir(mail) if not name.startswith("_")}


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(ROOT / "templates" / "email"),
        undefined=StrictUndefined,
        autoescape=select_autoescape(enabled_extensions=("html",), default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update({name: getattr(mail_words, name) for name in _FILTERS})
    environment.globals["product"] = PRODUCT
    return environment


_templates = _environment()
