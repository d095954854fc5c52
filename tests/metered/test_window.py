"""The scripts against an exact model, at any time: the sources that are sent, with a clock of the test's own."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from uuid import uuid4

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from db.counters import source
from db.epochs import names
from db.types import OrganizationId

CLOCK = "redis.call('TIME')"
MINUTE = 60_000_000
EVE = int(datetime(2026, 11, 30, 23, 57, tzinfo=UTC).timestamp()) * 1_000_000


class TimedScripts:
    """The scripts on a server of the tests, told what time it is."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def run(self, script: str, keys: list[str], arguments: list[str], micros: int) -> Any:
        """The answer of a script at a time in microseconds."""
        text = source(script)
        assert text.count(CLOCK) == 1, "a script reads the clock once"
        given = text.replace(CLOCK, "{ARGV[#ARGV - 1], ARGV[#ARGV]}")
        return self.client.eval(given, len(keys), *keys, *arguments, str(micros // 10**6), str(micros % 10**6))


@dataclass
class Model:
    """What the contract says, in exact fractions."""

    limit: int
    quota: int | None
    minutes: dict[int, int] = field(default_factory=dict)
    months: dict[str, int] = field(default_factory=dict)

    def weighted(self, micros: int) -> Fraction:
        """Calls in the window that ends now, those of the former minute by the share of it that still counts."""
        minute, gone = divmod(micros, MINUTE)
        before = self.minutes.get(minute - 1, 0) * Fraction(MINUTE - gone, MINUTE)
        return before + self.minutes.get(minute, 0)

    def used(self, micros: int) -> int:
        """Requests of this month."""
        return self.months.get(_month(micros), 0)

    def count(self, micros: int) -> None:
        """One call was let through."""
        self.minutes[micros // MINUTE] = self.minutes.get(micros // MINUTE, 0) + 1
        self.months[_month(micros)] = self.used(micros) + 1


def _month(micros: int) -> str:
    return datetime.fromtimestamp(micros // 10**6, UTC).strftime("%Y-%m")


@pytest.fixture(scope="module")
def scripts(redis_url: str) -> TimedScripts:
    """The scripts on the run's server."""
    return TimedScripts(redis.Redis.from_url(redis_url, decode_responses=True))


def admit(scripts: TimedScripts, organization: OrganizationId, model: Model, micros: int) -> list[Any]:
    """One call, with the epoch as it is and a quota that is loaded when it is asked for."""
    quota = "-1" if model.quota is None else str(model.quota)
    keys = names(organization)
    answer = scripts.run("admit", keys, ["", str(model.limit), quota], micros)
    answer = scripts.run("admit", keys, [answer[1], str(model.limit), quota], micros)
    if answer[0] == "load":
        used = str(model.used(micros))
        assert scripts.run("load_quota", [keys[0], keys[2]], [answer[1], answer[6], used], micros) == 1
        answer = scripts.run("admit", keys, [answer[1], str(model.limit), quota], micros)
    return list(answer)


@settings(max_examples=150, deadline=None)
@given(
    limit=st.sampled_from((1, 2, 7, 10, 60, 300)),
    quota=st.sampled_from((None, 0, 5, 40)),
    steps=st.lists(st.tuples(st.integers(0, 4 * MINUTE) | st.integers(0, 2_000_000), st.integers(1, 90)), max_size=8),
    data=st.data(),
)
def test_the_window_and_the_quota_are_those_of_the_model(
    scripts: TimedScripts, limit: int, quota: int | None, steps: list[tuple[int, int]], data: st.DataObject
) -> None:
    organization, model, micros = OrganizationId(uuid4()), Model(limit, quota), EVE
    for pause, burst in steps:
        micros += pause
        for _ in range(burst):
            weighted, before = model.weighted(micros), model.used(micros)
            spent = quota is not None and model.used(micros) >= quota
            verdict, _, seconds, left, wait, used, month, generation = admit(scripts, organization, model, micros)
            assert (seconds, month) == (micros // 10**6, _month(micros))
            assert used == (-1 if quota is None else before + (verdict == "ok"))
            if verdict == "ok":
                model.count(micros)
                assert not spent
                assert model.weighted(micros) < limit + 1, "one more than the window allows"
                assert left == limit - 1 - int(weighted)
                if quota is not None and data.draw(st.integers(0, 3)) == 0:
                    back = scripts.run("give_back", [names(organization)[2]], [month, generation], micros)
                    assert back == 1
                    model.months[month] -= 1
            elif verdict == "rate":
                assert weighted >= limit, "refused below the limit"
                retry = Model(limit, None, dict(model.minutes))
                assert retry.weighted(micros + wait * 10**6) < limit, "told to come back too early"
            else:
                assert (verdict, spent) == ("quota", True)


@settings(max_examples=60, deadline=None)
@given(
    limit=st.integers(1, 20),
    length=st.sampled_from((60, 3600)),
    gaps=st.lists(st.integers(0, 45_000_000), min_size=1, max_size=60),
)
def test_other_limits_use_the_same_window(scripts: TimedScripts, limit: int, length: int, gaps: list[int]) -> None:
    subject, micros, counts = f"limit:{{test:{uuid4()}}}", EVE, dict[int, int]()
    size = length * 10**6
    for gap in gaps:
        micros += gap
        slot, gone = divmod(micros, size)
        weighted = counts.get(slot - 1, 0) * Fraction(size - gone, size) + counts.get(slot, 0)
        wait = scripts.run("hit", [subject], [str(limit), str(length)], micros)
        assert (wait == 0) == (weighted < limit)
        if wait == 0:
            counts[slot] = counts.get(slot, 0) + 1


FOREIGN: dict[str, Any] = {
    "a word": lambda client, key: client.set(key, "foreign"),
    "a negative number": lambda client, key: client.set(key, "-100"),
    "a fraction": lambda client, key: client.set(key, "1.5"),
    "a huge number": lambda client, key: client.set(key, "9" * 30),
    "a list": lambda client, key: client.rpush(key, "x"),
    "leading zeros": lambda client, key: client.set(key, "007"),
    "a hash": lambda client, key: client.hset(key, "used", "many"),
    "a hash of a huge number": lambda client, key: client.hset(key, mapping={"used": "9" * 30, "generation": "1"}),
    "a hash with leading zeros": lambda client, key: client.hset(key, mapping={"used": "007", "generation": "1"}),
    "a hash of another generation": lambda client, key: client.hset(key, mapping={"used": "9", "generation": "x"}),
    "a set": lambda client, key: client.sadd(key, "x"),
    "a sorted set": lambda client, key: client.zadd(key, {"x": 1}),
    "a stream": lambda client, key: client.xadd(key, {"used": "1"}),
    "nothing": lambda client, key: client.set(key, ""),
}


@pytest.mark.parametrize("foreign", FOREIGN)
def test_foreign_data_under_our_names_is_removed_not_trusted(scripts: TimedScripts, foreign: str) -> None:
    organization, model = OrganizationId(uuid4()), Model(3, 100)
    keys = names(organization)
    for key in (keys[0], f"{keys[1]}:{EVE // MINUTE}", f"{keys[1]}:{EVE // MINUTE - 1}", f"{keys[2]}:2026-11"):
        FOREIGN[foreign](scripts.client, key)
    verdicts = []
    for _ in range(4):
        answer = admit(scripts, organization, model, EVE)
        verdicts.append(answer[0])
        if answer[0] == "ok":
            model.count(EVE)
    assert verdicts == ["ok", "ok", "ok", "rate"]
    scripts.client.delete(keys[0])
    FOREIGN[foreign](scripts.client, keys[0])
    assert scripts.run("bump", [keys[0], keys[2]], ["1", "2026-11"], EVE + 5).isdigit()


def test_an_epoch_only_grows_even_when_the_clock_of_redis_goes_back(scripts: TimedScripts) -> None:
    keys = names(OrganizationId(uuid4()))
    seen = [int(scripts.run("bump", [keys[0], keys[2]], ["0", "2026-11"], EVE - n * MINUTE)) for n in range(5)]
    assert seen == sorted(set(seen))


def test_the_names_are_those_of_the_contract(scripts: TimedScripts) -> None:
    organization = OrganizationId(uuid4())
    admit(scripts, organization, Model(10, 1000), EVE)
    found = sorted(scripts.client.scan_iter(f"*{organization}*"))
    epoch, rate, quota = f"epoch:{{{organization}}}", f"rate_limit:{{{organization}}}", f"quota:{{{organization}}}"
    assert found == [epoch, f"{quota}:2026-11", f"{rate}:{EVE // MINUTE}"]
    assert all(scripts.client.ttl(name) > 0 for name in found)


def test_a_count_that_was_loaded_anew_takes_back_nothing_that_it_never_held(scripts: TimedScripts) -> None:
    organization, model = OrganizationId(uuid4()), Model(100, 100)
    taken = admit(scripts, organization, model, EVE)
    keys = names(organization)
    scripts.run("bump", [keys[0], keys[2]], ["1", "2026-11"], EVE + 1)
    model.months["2026-11"] = 50
    assert admit(scripts, organization, model, EVE + 2)[5] == 51
    assert scripts.run("give_back", [keys[2]], [taken[6], taken[7]], EVE + 3) == 0
    assert scripts.client.hget(f"{keys[2]}:2026-11", "used") == "51"


def test_a_count_from_before_a_change_is_not_loaded_after_it(scripts: TimedScripts) -> None:
    keys = names(OrganizationId(uuid4()))
    epoch = scripts.run("admit", keys, ["", "10", "100"], EVE)[1]
    scripts.run("bump", [keys[0], keys[2]], ["1", "2026-11"], EVE + 1)
    assert scripts.run("load_quota", [keys[0], keys[2]], [epoch, "2026-11", "3"], EVE + 2) == 0
    assert not scripts.client.exists(f"{keys[2]}:2026-11")


def test_a_request_is_given_back_to_the_month_it_was_taken_from(scripts: TimedScripts) -> None:
    organization, model = OrganizationId(uuid4()), Model(100, 100)
    last = EVE + 3 * MINUTE - 1
    taken = admit(scripts, organization, model, last)
    model.count(last)
    admit(scripts, organization, model, last + 2)
    quota = names(organization)[2]
    assert scripts.run("give_back", [quota], [taken[6], taken[7]], last + 3) == 1
    assert scripts.client.hget(f"{quota}:2026-11", "used") == "0"
    assert scripts.client.hget(f"{quota}:2026-12", "used") == "1"
