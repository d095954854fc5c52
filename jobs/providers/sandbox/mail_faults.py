"""Faults on demand: a mail server that refuses, waits, grey-lists or hangs up."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Stage = Literal["sender", "recipient", "before_data", "content"]


class MailFault(BaseModel):
    """One thing that goes wrong.

    `refuse` answers with `code`; `delay` waits `seconds` and goes on; `drop` cuts the connection: at "before_data" the
    mail is lost, at "content" it is kept and only our answer is lost; `greylist` refuses the first try of each pair of
    sender and recipient with 451.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["refuse", "delay", "drop", "greylist"]
    at: Stage = "recipient"
    code: int = Field(550, ge=400, le=599)
    seconds: float = Field(0, ge=0, le=600)
    recipient: str | None = Field(None, description="only mail to this address; None for all")
    times: int | None = Field(None, ge=1, description="so often, then never again; None for ever")


class MailFaults:
    """The faults in force, in the order in which they were added."""

    def __init__(self) -> None:
        self._left: list[tuple[MailFault, int | None]] = []
        self._met: set[tuple[str, str]] = set()

    def add(self, fault: MailFault) -> None:
        """From now on."""
        self._left.append((fault, fault.times))

    def clear(self) -> None:
        """Everything works again."""
        self._left.clear()
        self._met.clear()

    def all(self) -> list[MailFault]:
        """The faults in force."""
        return [fault for fault, _ in self._left]

    def take(self, at: Stage, sender: str, recipient: str) -> list[MailFault]:
        """What goes wrong at this point with this mail; counted faults are used up by it."""
        hits = [index for index, (fault, _) in enumerate(self._left) if self._hits(fault, at, sender, recipient)]
        taken = [self._left[index][0] for index in hits]
        counted = [
            (fault, left - 1 if left is not None and index in hits else left)
            for index, (fault, left) in enumerate(self._left)
        ]
        self._left = [(fault, left) for fault, left in counted if left != 0]
        return taken

    def _hits(self, fault: MailFault, at: Stage, sender: str, recipient: str) -> bool:
        if fault.at != at or (fault.recipient is not None and fault.recipient.lower() != recipient.lower()):
            return False
        return fault.kind != "greylist" or self._is_new(sender, recipient)

    def _is_new(self, sender: str, recipient: str) -> bool:
        pair = (sender.lower(), recipient.lower())
        is_new = pair not in self._met
        self._met.add(pair)
        return is_new
