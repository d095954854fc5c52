"""How long a server may take before it counts as away."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to connect or get a connection, to begin a transaction, and to finish a statement."""

    connect: float = 5
    begin: float = 2
    statement: float = 60


PATIENT = Patience()
