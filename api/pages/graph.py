"""The geometry of the usage graph: bars in a box of 300 by 100 that the page stretches over its width."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

WIDTH, HEIGHT = 300, 100
_GAP = 0.26  # of a day's width


class Day(Protocol):
    """What a bar is drawn from."""

    @property
    def date(self) -> datetime.date: ...
    @property
    def requests(self) -> int: ...
    @property
    def success_count(self) -> int: ...
    @property
    def error_count(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Bar:
    """One day: successes from the ground up, errors on top of them."""

    day: Day
    left: float
    width: float
    x: float
    bar_width: float
    good_y: float
    good_height: float
    bad_y: float
    bad_height: float


@dataclass(frozen=True, slots=True)
class Graph:
    """The bars, the numbers beside them from top to bottom, and the days to name below."""

    bars: list[Bar]
    scale: list[int]
    named_days: list[datetime.date]
    requests: int
    errors: int


def graph(days: Sequence[Day]) -> Graph:
    """The graph of these days, on a scale that ends at a round number."""
    top = _round_up(max(day.requests for day in days))
    step = WIDTH / len(days)
    bars = [_bar(day, number * step, step, HEIGHT / top) for number, day in enumerate(days)]
    middle = days[len(days) // 2]
    return Graph(
        bars, [top, top // 2, 0], [days[0].date, middle.date, days[-1].date],
        sum(day.requests for day in days), sum(day.error_count for day in days),
    )  # fmt: skip


def _bar(day: Day, left: float, step: float, scale: float) -> Bar:
    good, bad = round(day.success_count * scale, 2), round(day.error_count * scale, 2)
    return Bar(
        day, round(left, 2), round(step, 2), round(left + step * _GAP / 2, 2), round(step * (1 - _GAP), 2),
        round(HEIGHT - good, 2), good, round(HEIGHT - good - bad, 2), bad,
    )  # fmt: skip


def _round_up(highest: int) -> int:
    """The next of 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200 …, so that its half is whole too."""
    power = 1
    while True:
        for factor in (2, 4, 6, 8, 10):
            if factor * power >= highest:
                return factor * power
        power *= 10
