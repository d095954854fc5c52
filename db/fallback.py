"""Limits of one process alone, for the time that Redis is away."""

import math
import time
from collections import OrderedDict

CAPACITY = 20_000


class LocalWindows:
    """Fixed windows in memory; a shared limit is divided by the number of known processes."""

    def __init__(self, processes: int) -> None:
        self._processes = max(1, processes)
        self._windows: OrderedDict[tuple[str, int], int] = OrderedDict()

    def hit(self, subject: str, limit: int, window_seconds: int, *, shared: bool = False) -> int:
        """Count one call; returns 0 when allowed, else the seconds to wait."""
        now = time.time()
        slot = (subject, int(now // window_seconds))
        allowed = max(1, limit // self._processes) if shared else limit
        if self._windows.get(slot, 0) >= allowed:
            return max(1, math.ceil(window_seconds - now % window_seconds))
        self._windows[slot] = self._windows.get(slot, 0) + 1
        if len(self._windows) > CAPACITY:
            self._windows.popitem(last=False)
        return 0

    def left(self, subject: str, limit: int, window_seconds: int) -> int:
        """How many calls of a shared limit this process would still let pass."""
        slot = (subject, int(time.time() // window_seconds))
        return max(0, limit // self._processes - self._windows.get(slot, 0))
