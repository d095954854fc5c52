"""Where the primary's log was in the last seconds: what a standby must have replayed whoever wrote it."""

import time
from collections import deque

from db.types import LogPosition


class LogWatch:
    """Places of the log by the time at which they were seen, for as long as a standby may lag (`seconds`)."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: deque[tuple[float, LogPosition]] = deque()
        self._doubted_at: float | None = time.monotonic()
        self._cleared_at = LogPosition(0)

    def doubt(self) -> None:
        """Redis may have lost marks: until the log is seen again nothing is known, and then all before is required."""
        self._doubted_at = time.monotonic()

    def saw(self, position: LogPosition, asked_at: float) -> None:
        """The log reached `position`, when asked at `asked_at` (of the monotonic clock) or later."""
        self._seen.append((asked_at, position))
        if self._doubted_at is not None and asked_at >= self._doubted_at:
            self._doubted_at, self._cleared_at = None, position

    def floor(self) -> LogPosition | None:
        """What everybody's reads require; None while that is not known."""
        while self._seen and self._seen[0][0] < time.monotonic() - self._seconds:
            self._seen.popleft()
        if self._doubted_at is not None or not self._seen:
            return None
        return max(self._seen[0][1], self._cleared_at)

    def lag(self, replayed: LogPosition) -> float:
        """Seconds that a standby which has come so far has been behind for sure; never more than are remembered."""
        ahead = [asked_at for asked_at, position in self._seen if position > replayed]
        return time.monotonic() - ahead[0] if ahead else 0.0
