"""A Redis that is slow, swallows what it is asked or breaks off: answers stay quick, keys stay exact, quotas add up."""

import asyncio
import time
from collections.abc import AsyncIterator

import psycopg
import pytest
import structlog

from db.counters import OPEN_SECONDS
from db.errors import TooMany, Unauthorized
from db.keys import NewKey
from db.limits import Limits
from db.pool import Database
from db.types import system_clock
from db.usage import UsageRecorder
from tests.founding import Founded, found, new_key
from tests.metered.slow import SlowRoad, slow_road
from tests.metered.trouble import BOUND, back, door, own, own_urls, record, revoke, timed
from tests.servers import TestServers, Urls

__all__ = ["door", "own", "own_urls"]

TROUBLES: dict[str, dict[str, object]] = {
    "a second late": {"delay": 1.0},
    "nothing comes back": {"swallows": True},
    "every answer breaks off": {"cut_after": 3, "keeps_cutting": True},
}


@pytest.fixture
async def road(own: TestServers) -> AsyncIterator[SlowRoad]:
    """A way to Redis that can be spoilt."""
    async with slow_road(own.valkey.port) as way:
        yield way


@pytest.fixture
async def here(door: Database, road: SlowRoad) -> AsyncIterator[Limits]:
    """One of two processes, whose way to Redis can be spoilt."""
    opened = Limits(door, road.url, system_clock, 2)
    await opened.ping()
    yield opened
    road.clear()
    await opened.close()


@pytest.fixture
async def there(own: TestServers, door: Database) -> AsyncIterator[Limits]:
    """The other one, whose way is always good."""
    opened = Limits(door, own.redis_url("0"), system_clock, 2)
    await opened.ping()
    yield opened
    await opened.close()


def spoil(road: SlowRoad, trouble: str) -> None:
    """From now on."""
    for name, value in TROUBLES[trouble].items():
        setattr(road, name, value)


@pytest.mark.parametrize("delay", [0.05, 0.15])
async def test_a_redis_that_is_a_little_slow_is_waited_for_and_stays_exact(
    door: Database, road: SlowRoad, here: Limits, there: Limits, capfd: pytest.CaptureFixture[str], delay: float
) -> None:
    founded = await found(door, "starter")
    new = await new_key(door, founded)
    await here.admit(new.secret)
    capfd.readouterr()
    road.delay = delay
    begin = time.monotonic()
    answers = await asyncio.gather(*((here if n % 2 else there).admit(new.secret) for n in range(80)))
    assert time.monotonic() - begin < 3 * delay + BOUND
    if "redis.away" not in capfd.readouterr().out:  # a busy machine may add the rest of the 0.2 s
        assert sum(answer.refusal is None for answer in answers) == 59


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_in_any_trouble_answers_stay_quick_and_one_call_a_second_tries_again(
    door: Database, road: SlowRoad, here: Limits, trouble: str
) -> None:
    new = await new_key(door, await found(door, "pro"))
    await here.admit(new.secret)
    with structlog.testing.capture_logs() as logs:
        spoil(road, trouble)
        taken, begin = [], time.monotonic()
        while time.monotonic() - begin < 3.0:
            taken.append(await timed(here, new.secret))
            await asyncio.sleep(0.02)
        road.clear()
        await back(here)
    assert max(taken) < BOUND
    # Each would take so long without the breaker: some fourteen; a busy machine holds up one or the other by itself.
    assert sum(seconds >= 0.2 for seconds in taken) <= 3.0 / OPEN_SECONDS + 4
    # What it says when all is well again is written or not by the level that this process logs at.
    told = [log["event"] for log in logs if log["event"].startswith("redis.")]
    assert told in (["redis.away"], ["redis.away", "redis.back"])
    assert not here.counters._is_away
    assert min([await timed(here, new.secret) for _ in range(5)]) < 0.2


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_key_revoked_meanwhile_is_refused_at_once(
    door: Database, road: SlowRoad, here: Limits, there: Limits, trouble: str
) -> None:
    founded = await found(door, "pro")
    kept, ended = await new_key(door, founded), await new_key(door, founded)
    for process in (here, there):
        for new in (kept, ended):
            await process.admit(new.secret)
    spoil(road, trouble)
    await revoke(door, founded, ended, there)
    for process in (here, there):
        with pytest.raises(Unauthorized):
            await process.admit(ended.secret)
        assert (await process.admit(kept.secret)).refusal is None
    road.clear()
    await back(here)
    with pytest.raises(Unauthorized):
        await here.admit(ended.secret)
    assert (await here.admit(kept.secret)).refusal is None


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_revocation_by_a_process_that_cannot_tell_redis_is_made_up_for_when_it_can(
    door: Database, road: SlowRoad, here: Limits, there: Limits, trouble: str
) -> None:
    """The process in trouble refuses the keys itself; one that reaches Redis knows as soon as both do."""
    revoked = [(founded, await new_key(door, founded)) for founded in [await found(door, "pro") for _ in range(20)]]
    for _, new in revoked:
        await asyncio.gather(here.admit(new.secret), there.admit(new.secret))
    spoil(road, trouble)
    begin = time.monotonic()
    await asyncio.gather(*(revoke(door, founded, new, here) for founded, new in revoked))
    assert time.monotonic() - begin < 3 * BOUND
    for _, new in revoked:
        with pytest.raises(Unauthorized):
            await here.admit(new.secret)
    road.clear()
    await back(here)
    await asyncio.sleep(0.3)
    for _, new in revoked:
        with pytest.raises(Unauthorized):
            await there.admit(new.secret)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_meanwhile_a_process_lets_through_its_share_of_the_plan(
    door: Database, road: SlowRoad, here: Limits, trouble: str
) -> None:
    new = await new_key(door, await found(door, "free"))
    spoil(road, trouble)
    await asyncio.sleep(max(0.0, time.time() % 60 - 50))  # its window is the minute of the clock
    answers = [(await here.admit(new.secret)).refusal for _ in range(7)]
    assert answers[:5] == [None] * 5, "ten a minute, divided by two processes"
    assert all(isinstance(refusal, TooMany) for refusal in answers[5:])


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_quota_adds_up_when_redis_missed_what_was_let_through(
    door: Database, road: SlowRoad, here: Limits, there: Limits, own_urls: Urls, trouble: str
) -> None:
    founded = await found(door, "free")
    new = await new_key(door, founded)
    _lift(own_urls, founded)
    recorder = UsageRecorder(door)
    await asyncio.gather(*(recorder.record(record(founded, new)) for _ in range(980)))
    assert await _served(there, recorder, founded, new) == 1
    spoil(road, trouble)
    assert sum([await _served(here, recorder, founded, new) for _ in range(9)]) == 9
    road.clear()
    await back(here)
    served = [await _served(process, recorder, founded, new) for _ in range(10) for process in (here, there)]
    assert sum(served) == 10, "1,000 in all, however many of them Redis has seen"


async def test_an_answer_that_breaks_off_anywhere_is_nobody_elses(
    door: Database, road: SlowRoad, here: Limits, own_urls: Urls
) -> None:
    mine, other = await found(door, "free"), await found(door, "pro")
    keys = await new_key(door, mine), await new_key(door, other)
    _lift(own_urls, mine)
    recorder, served = UsageRecorder(door), 0
    for position in range(0, 150, 6):
        road.cut_after = position
        answers = await asyncio.gather(*(here.admit(key.secret) for key in (*keys, *keys)))
        for answer, founded in zip(answers, (mine, other, mine, other), strict=True):
            assert answer.key.organization_id == founded.organization_id
            assert (answer.key.month_quota is None) == (founded is other)
        await asyncio.gather(*(recorder.record(record(mine, keys[0])) for _ in range(2)))
        served += 2
        await back(here)
    left = await here.admit(keys[0].secret)
    assert f'"month";r={1000 - served - 1};' in dict(left.headers)[b"ratelimit"].decode()


def _lift(urls: Urls, founded: Founded) -> None:
    with psycopg.connect(urls.superuser) as conn:
        lift = "update tenancy.organizations set rate_limit_override = 100000 where organization_id = %s"
        conn.execute(lift, [founded.organization_id])


async def _served(process: Limits, recorder: UsageRecorder, founded: Founded, new: NewKey) -> int:
    """1 when a request was let through and recorded."""
    if (await process.admit(new.secret)).refusal is not None:
        return 0
    await recorder.record(record(founded, new))
    return 1
