"""The time of an answer tells nobody who has an account; `mts bench probing` measures it more exactly."""

import asyncio

import pytest

from tests.bench.probing import Result, measure


@pytest.mark.slow
async def test_the_time_of_an_answer_does_not_tell_whether_an_address_is_known() -> None:
    results = await asyncio.to_thread(measure, 60)
    assert [each.name for each in results] == ["LogIn", "Reset", "Invitation"]
    assert [each for each in results if not 0.75 < each.ratio < 1.33] == []  # a busy machine; the bench is stricter


def test_a_difference_beyond_the_noise_is_told() -> None:
    assert Result("", 1, 1.2, 1.2, 0.01).tells
    assert not Result("", 1, 1.2, 1.2, 0.1).tells
    assert not Result("", 1, 1.03, 1.03, 0.001).tells
