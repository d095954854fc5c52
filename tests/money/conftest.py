"""The doors of an API process and of a worker to this module's database."""

from collections.abc import AsyncIterator

import pytest

from db.pool import Database
from tests.servers import Urls


@pytest.fixture(scope="module")
async def database(urls: Urls) -> AsyncIterator[Database]:
    """The door of a worker."""
    opened = await Database.open(urls.worker, 24, "tests")
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def api_database(urls: Urls) -> AsyncIterator[Database]:
    """The door of an API process."""
    opened = await Database.open(urls.api, 24, "tests")
    yield opened
    await opened.close()
