"""What a change has answered holds in every process: ten thousand changes over HTTP, two servers, three processes."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from db.limits import Limits
from db.pool import Database
from settings import Settings
from tests.metered import changes
from tests.metered.changes import Change
from tests.metered.crowd import House, give_keys, house, lift_limits, member
from tests.metered.lines import Heard, Line, lines_to
from tests.metered.served import Served, environment, served
from tests.servers import Urls

LANES = 16
HOUSES = 64
PEOPLE = 250  # houses with a plan to change, a member to remove and a suspension
REVOKED, ROTATED, REPORTED = 6976, 1024, 512
EXPIRED = 238


@dataclass
class Lane:
    """Two lines to each process, so that no request waits for another: while a change is made, and afterwards."""

    during: list[Line]
    afterwards: list[Line]

    async def play(self, change: Change, turn: int, maker: Line | None = None) -> list[Heard]:
        """What was said too late: all know the old state, one is asked meanwhile, all after the answer."""
        known = await asyncio.gather(*(line.ask(change.ask) for line in self.afterwards))
        assert all(change.before(heard) for heard in known), known
        meanwhile = self.during[turn % 3].ask(change.ask)
        await change.make(maker or self.during[(turn + 1) % 3])
        late = await asyncio.gather(*(line.ask(change.ask) for line in self.afterwards))
        heard = await meanwhile
        assert change.before(heard) or change.after(heard), heard
        return [heard for heard in late if not change.after(heard)]


@dataclass
class Running:
    """A server of two processes and one of a single process, over the same stores."""

    settings: Settings
    servers: dict[int, Served]

    @asynccontextmanager
    async def lanes(self) -> AsyncIterator[list[Lane]]:
        """New lines; a server hangs up on those that were not used for seconds."""
        found = [await lines_to(server, workers, 2 * LANES) for workers, server in self.servers.items()]
        by_process = [lines for each in found for lines in each.values()]
        assert len(by_process) == 3
        yield [Lane([lines[2 * n] for lines in by_process], [lines[2 * n + 1] for lines in by_process])
               for n in range(LANES)]  # fmt: skip
        for line in itertools.chain(*by_process):
            line.close()


@pytest.fixture(scope="module")
def running(urls: Urls, redis_url: str) -> Iterator[Running]:
    """The servers."""
    settings = environment(urls.api, redis_url)
    with served(settings | {"WORKERS": "2"}) as two, served(settings) as one:
        yield Running(Settings.from_env(settings), {2: two, 1: one})


@pytest.fixture
async def operators(urls: Urls) -> AsyncIterator[Database]:
    """The door that `mts suspend` uses."""
    opened = await Database.open(urls.worker, LANES, "tests")
    yield opened
    await opened.close()


async def _play_all(running: Running, all_: Iterable[Iterator[Change]]) -> int:
    """Every change, many at a time, made by the processes in turn; returns how many there were."""
    waiting, turns = iter(all_), itertools.count()

    async def play(lane: Lane) -> None:
        for of_one in waiting:
            for change in of_one:
                late = await lane.play(change, next(turns))
                assert late == [], "the old state was accepted after the change had answered"

    async with running.lanes() as lanes:
        await asyncio.gather(*map(play, lanes))
    return next(turns)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_ten_thousand_changes_are_final_in_every_process(
    database: Database, operators: Database, limits: Limits, urls: Urls, running: Running
) -> None:
    homes = [await house(database, running.settings) for _ in range(HOUSES)]
    lift_limits(urls, homes)
    played = 0
    for kind, count in ((changes.revocations, REVOKED), (changes.rotations, ROTATED), (changes.reports, REPORTED)):
        give_keys(urls, homes, count // HOUSES)
        played += await _play_all(running, map(kind, homes))
    small = [await house(database, running.settings, "free") for _ in range(PEOPLE)]
    give_keys(urls, small, 1)
    played += await _play_all(running, map(changes.upgrades, small))
    played += await _play_all(running, (changes.suspensions(home, operators, limits) for home in small))
    people = [(home, *await member(database, running.settings, home)) for home in small]
    played += await _play_all(running, (changes.removal(*each) for each in people))
    played += await _expiries(urls, running, homes)
    assert played == 10_000


async def _expiries(urls: Urls, running: Running, homes: list[House]) -> int:
    """Keys that end by themselves: accepted everywhere, and a moment after their end nowhere."""
    end = datetime.now(UTC) + timedelta(seconds=8)  # time enough to plant and ask, also on a busy machine
    give_keys(urls, homes[: EXPIRED % HOUSES], EXPIRED // HOUSES + 1, end)
    give_keys(urls, homes[EXPIRED % HOUSES :], EXPIRED // HOUSES, end)
    asks = [changes.with_key(value) for home in homes for _, value in home.keys]
    assert all(map(changes.is_accepted, await _ask_everywhere(running, asks)))
    await asyncio.sleep((end - datetime.now(UTC)).total_seconds())
    assert all(map(changes.is_refused, await _ask_everywhere(running, asks)))
    return len(asks)


async def _ask_everywhere(running: Running, asks: list[bytes]) -> list[Heard]:
    """What each process says to each request."""
    async with running.lanes() as lanes:
        return await asyncio.gather(*(line.ask(ask) for ask in asks for line in lanes[0].afterwards))


@pytest.mark.parametrize("mistake", ["late", "never"])
async def test_the_same_changes_find_a_server_that_tells_the_others_late_or_never(
    database: Database, urls: Urls, redis_url: str, running: Running, mistake: str
) -> None:
    home = await house(database, running.settings)
    give_keys(urls, [home], 10)
    settings = environment(urls.api, redis_url)
    with served(settings, ("-m", "tests.metered.forgetful", mistake)) as forgetful:
        maker = await Line.to(forgetful.port)
        async with running.lanes() as lanes:
            noticed = [await lanes[0].play(change, 0, maker) for change in changes.revocations(home)]
        assert any(noticed), "nobody was told, and nobody noticed"
        maker.close()
