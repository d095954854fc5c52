"""The usage graph's geometry: bars stay in their box, add up, and the scale ends at a round number."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from api.pages.graph import HEIGHT, WIDTH, graph
from db.dashboard import Day

START = date(2026, 10, 25)
counts = st.tuples(st.integers(0, 10**9), st.integers(0, 10**9))


def days(figures: list[tuple[int, int]]) -> list[Day]:
    """Days with these successes and errors."""
    return [
        Day(START + timedelta(days=number), good + bad, good, bad) for number, (good, bad) in enumerate(figures)
    ]  # fmt: skip


@given(st.lists(counts, min_size=1, max_size=31))
def test_bars_stay_in_their_box(figures: list[tuple[int, int]]) -> None:
    drawn = graph(days(figures))
    top, middle, zero = drawn.scale
    assert zero == 0
    assert 2 * middle == top >= max(good + bad for good, bad in figures)
    for bar in drawn.bars:
        assert bar.left <= bar.x <= bar.x + bar.bar_width <= bar.left + bar.width + 0.02
        assert bar.left + bar.width <= WIDTH + 0.5
        assert -0.02 <= bar.bad_y <= bar.good_y <= HEIGHT
        assert abs(bar.good_y + bar.good_height - HEIGHT) < 0.02


def test_the_scale_ends_at_the_next_round_number() -> None:
    tops = {highest: graph(days([(highest, 0)])).scale[0] for highest in (0, 1, 2, 3, 5, 9, 11, 61, 99, 100, 101, 950)}
    assert tops == {0: 2, 1: 2, 2: 2, 3: 4, 5: 6, 9: 10, 11: 20, 61: 80, 99: 100, 100: 100, 101: 200, 950: 1000}
