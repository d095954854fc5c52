"""A process whose look-ups in Postgres are counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from db import keys
from db.errors import Unauthorized
from db.lease import Lease
from db.limits import Limits
from db.pool import Database, Tenant
from db.types import SYSTEM, system_clock
from tests.founding import Founded
from tests.servers import Urls


class Watched(Database):
    """A door that counts how often somebody goes through, and that can be held shut behind a transaction's end."""

    uses = 0
    reached: asyncio.Event | None = None
    may_leave: asyncio.Event | None = None

    def statement(self) -> Lease:
        """As the door, counted."""
        self.uses += 1
        return super().statement()

    @asynccontextmanager
    async def tenant(self, *args: Any, **options: Any) -> AsyncIterator[Tenant]:
        """As the door; with `may_leave` nobody comes out before it is set."""
        async with super().tenant(*args, **options) as tenant:
            yield tenant
        if self.may_leave is not None and self.reached is not None:
            self.reached.set()
            await self.may_leave.wait()


@pytest.fixture
async def watched(urls: Urls) -> AsyncIterator[Watched]:
    """A watched door of an API process."""
    opened = await Watched.open(urls.api, 4, "tests")
    assert isinstance(opened, Watched)
    yield opened
    await opened.close()


@pytest.fixture
async def process(watched: Watched, redis_url: str) -> AsyncIterator[Limits]:
    """A process whose door is watched."""
    opened = Limits(watched, redis_url, system_clock)
    yield opened
    await opened.close()


async def refused(process: Limits, key: str) -> None:
    with pytest.raises(Unauthorized, match="not valid"):
        await process.admit(key)


async def revoke(database: Database, founded: Founded, new: keys.NewKey, process: Limits) -> None:
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        await keys.revoke(tenant, new.key.id, datetime.now(UTC))
    await process.bump(founded.organization_id)
