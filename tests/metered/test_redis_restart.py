"""A Redis that crashes, is emptied or comes back with old data: the month's quota is exact all the same."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from cli.embedded import EmbeddedValkey
from db.keys import NewKey
from db.limits import Limits
from db.pool import Database
from db.types import system_clock
from db.usage import UsageRecorder
from tests.founding import Founded, found, new_key
from tests.metered.trouble import back, record
from tests.metered.watched import Watched, process, watched
from tests.servers import Urls

__all__ = ["process", "watched"]
QUOTA = 1000


@pytest.fixture
def durable() -> Iterator[EmbeddedValkey]:
    """A server that keeps what it holds as the one in production does, flushed to disk once a second."""
    folder = Path(tempfile.mkdtemp(prefix="mts-redis-"))
    folder.chmod(0o711)
    server = EmbeddedValkey(folder / "valkey", durable=True)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
async def pair(database: Database, durable: EmbeddedValkey) -> AsyncIterator[tuple[Limits, Limits]]:
    """The limits of two processes."""
    opened = Limits(database, durable.url, system_clock), Limits(database, durable.url, system_clock)
    yield opened
    for each in opened:
        await each.close()


def _crashes(server: EmbeddedValkey) -> None:
    server.kill()
    server.start()


def _loses_its_file(server: EmbeddedValkey) -> None:
    server.kill()
    shutil.rmtree(server.data_dir / "appendonlydir")
    server.start()


def _is_emptied(server: EmbeddedValkey) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()


@pytest.mark.parametrize("happens", [_crashes, _loses_its_file, _is_emptied])
async def test_a_months_quota_survives_whatever_happens_to_redis(
    database: Database, urls: Urls, durable: EmbeddedValkey, pair: tuple[Limits, Limits],
    happens: Callable[[EmbeddedValkey], None],
) -> None:  # fmt: skip
    founded = await found(database, "free")
    new = await new_key(database, founded)
    with psycopg.connect(urls.superuser) as conn:
        conn.execute("update tenancy.organizations set rate_limit_override = 100000")
    served = 0
    for portion in (300, 300, 300):
        for number in range(portion):
            served += await _serve(pair[number % 2], database, founded, new)
        happens(durable)
        for each in pair:
            await back(each)
    for number in range(200):
        served += await _serve(pair[number % 2], database, founded, new)
    assert served == QUOTA


async def test_many_requests_at_once_count_the_month_once(
    database: Database, process: Limits, watched: Watched, stored: redis.Redis
) -> None:
    founded = await found(database, "free")
    new = await new_key(database, founded)
    first = await process.admit(new.secret)
    assert first.taken_from is not None
    stored.delete(f"quota:{{{founded.organization_id}}}:{first.taken_from[0]}")
    before = watched.uses
    await asyncio.gather(*(process.admit(new.secret) for _ in range(300)))
    assert watched.uses - before == 1


async def _serve(process: Limits, database: Database, founded: Founded, new: NewKey) -> int:
    if (await process.admit(new.secret)).refusal is not None:
        return 0
    await UsageRecorder(database).record(record(founded, new))
    return 1
