"""A server of two processes whose Redis is in trouble, as its customers and its operators see it."""

import asyncio
import re
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from db.limits import Limits
from db.pool import Database
from db.types import system_clock
from tests.founding import found, new_key
from tests.metered.served import environment, served
from tests.metered.slow import SlowRoad, slow_road
from tests.metered.test_slow_redis import TROUBLES, spoil
from tests.metered.trouble import BOUND, door, own, own_urls, revoke
from tests.servers import TestServers, Urls

__all__ = ["door", "own", "own_urls"]
MESSAGES = "/api/v1/messages"


@pytest.fixture
async def road(own: TestServers) -> AsyncIterator[SlowRoad]:
    """A way to Redis that can be spoilt."""
    async with slow_road(own.valkey.port) as way:
        yield way


async def _until(client: httpx.AsyncClient, status: str) -> None:
    """Wait until readiness says so, each time on a new connection."""
    deadline = time.monotonic() + 10
    while (await client.get("/readyz", headers={"Connection": "close"})).json()["status"] != status:
        assert time.monotonic() < deadline, f"not {status}"


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_customers_get_answers_and_operators_are_told(
    own: TestServers, own_urls: Urls, door: Database, road: SlowRoad, capfd: pytest.CaptureFixture[str], trouble: str
) -> None:
    founded = await found(door, "pro")
    kept, ended = await new_key(door, founded), await new_key(door, founded)
    elsewhere = Limits(door, own.redis_url("0"), system_clock, 2)
    settings = environment(own_urls.api, road.url, WORKERS="2", LOG_LEVEL="info")
    with served(settings) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
            for key in (kept, ended) * 4:
                assert (await _use(client, key.secret))[0] == 200
            capfd.readouterr()
            spoil(road, trouble)
            await revoke(door, founded, ended, elsewhere)
            answers = await asyncio.gather(*(_use(client, ended.secret) for _ in range(12)))
            assert {status for status, _ in answers} == {401}
            answers = [await _use(client, kept.secret) for _ in range(40)]
            assert {status for status, _ in answers} == {200}
            assert max(seconds for _, seconds in answers) < BOUND * 2
            await _until(client, "degraded")
            metrics = (await client.get("/metrics")).text
            assert re.search(r"^redis_failures_total [1-9]", metrics, re.MULTILINE)
            assert re.search(r"^redis_calls_without_total [1-9]", metrics, re.MULTILINE)
            road.clear()
            await _until(client, "ready")
            assert (await _use(client, kept.secret))[0] == 200
            assert (await _use(client, ended.secret))[0] == 401
    await elsewhere.close()
    said = capfd.readouterr().out
    assert '"event":"redis.away"' in said
    assert '"event":"redis.back"' in said
    assert kept.secret not in said


async def _use(client: httpx.AsyncClient, key: str) -> tuple[int, float]:
    begin = time.monotonic()
    answer = await client.get(MESSAGES, headers={"X-API-Key": key, "Connection": "close"})
    return answer.status_code, time.monotonic() - begin
