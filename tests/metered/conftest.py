"""A database door and the limits of one or two processes, over the run's real servers."""

from collections.abc import AsyncIterator

import pytest
import redis

from db.limits import Limits
from db.pool import Database
from db.types import system_clock
from tests.servers import Urls


@pytest.fixture(scope="module")
async def database(urls: Urls) -> AsyncIterator[Database]:
    """The door of an API process."""
    opened = await Database.open(urls.api, 8, "tests")
    yield opened
    await opened.close()


@pytest.fixture
async def limits(database: Database, redis_url: str) -> AsyncIterator[Limits]:
    """The limits of one process."""
    opened = Limits(database, redis_url, system_clock)
    yield opened
    await opened.close()


@pytest.fixture
async def elsewhere(database: Database, redis_url: str) -> AsyncIterator[Limits]:
    """The limits of a second process: the same Redis, a memory of its own."""
    opened = Limits(database, redis_url, system_clock)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def stored(redis_url: str) -> redis.Redis:
    """What is in Redis."""
    return redis.Redis.from_url(redis_url, decode_responses=True)
