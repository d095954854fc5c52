"""One line of what `mts doctor` found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """`ok` is None for what is only worth knowing."""

    ok: bool | None
    subject: str
    text: str

    def __str__(self) -> str:
        mark = {True: "✓", False: "✗", None: "·"}[self.ok]
        return f"{mark} {self.subject:<12} {self.text}"
