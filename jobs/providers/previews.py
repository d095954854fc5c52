"""The samples of every kind of mail, rendered, each under a name of its own."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from jobs.providers.mail_samples import samples
from jobs.providers.render import Rendered, kind_of, render


@dataclass(frozen=True, slots=True)
class Preview:
    """One rendered sample; `name` is its kind, numbered from the second of a kind on."""

    name: str
    kind: str
    words: Rendered


def previews() -> Mapping[str, Preview]:
    """Every sample by its name, in the order in which a customer meets them."""
    seen: Counter[str] = Counter()
    found: dict[str, Preview] = {}
    for mail in samples():
        kind = kind_of(mail)
        seen[kind] += 1
        name = kind if seen[kind] == 1 else f"{kind}_{seen[kind]}"
        found[name] = Preview(name, kind, render(mail))
    return found
