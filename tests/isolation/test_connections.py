"""Connections go from hand to hand in order, and one that is not as it was when new goes to nobody."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

import db.connections
from db.connections import Connections
from db.pool import Database
from tests.servers import Urls


async def _is_closed(conn: Any) -> None:
    closed = asyncio.Event()
    conn.add_termination_listener(lambda _: closed.set())
    if not conn.is_closed():
        await asyncio.wait_for(closed.wait(), 5)


@pytest.fixture
async def two(urls: Urls) -> AsyncIterator[Connections]:
    """At most two connections."""
    opened = Connections(lambda: asyncpg.connect(urls.api), 2)
    yield opened
    await opened.close()


async def test_the_last_used_is_the_next_used(two: Connections) -> None:
    first, second = await two.take(), await two.take()
    two.give_back(first)
    two.give_back(second)
    again = await two.take()
    two.give_back(again)
    assert again is second


async def test_who_came_first_is_served_first(two: Connections) -> None:
    held, order = [await two.take(), await two.take()], list[int]()

    async def visit(number: int) -> None:
        conn = await two.take()
        order.append(number)
        await conn.fetchval("select 1")
        two.give_back(conn)

    visits = [asyncio.create_task(visit(number)) for number in range(20)]
    await asyncio.sleep(0)
    for conn in held:
        two.give_back(conn)
    await asyncio.gather(*visits)
    assert order == list(range(20))


async def test_a_transaction_left_open_goes_to_nobody(two: Connections) -> None:
    conn = await two.take()
    await conn.execute("begin; set local app.current_org_id = '01890000-0000-7000-8000-000000000007'")
    two.give_back(conn)
    assert conn.is_closed()
    following = await two.take()
    assert following is not conn
    assert not following.is_in_transaction()
    two.give_back(following)


async def test_a_connection_that_postgres_ended_is_not_handed_out_again(two: Connections, urls: Urls) -> None:
    conn = await two.take()
    pid = conn.get_server_pid()
    two.give_back(conn)
    admin = await asyncpg.connect(urls.superuser)
    await admin.execute("select pg_terminate_backend($1)", pid)
    await admin.close()
    await _is_closed(conn)
    following = await two.take()
    assert await following.fetchval("select 1") == 1
    two.give_back(following)


async def test_who_gives_up_waiting_takes_no_turn_with_him(two: Connections) -> None:
    held = [await two.take(), await two.take()]
    waiting = asyncio.create_task(two.take())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for conn in held:
        two.give_back(conn)
    for conn in [await two.take(), await two.take()]:
        two.give_back(conn)


async def test_a_statement_given_up_has_ended_in_postgres_before_the_next_one_begins(urls: Urls) -> None:
    database = await Database.open(urls.api, 1, "tests")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), database.statement() as conn:
            await conn.execute("select pg_sleep(30)")
    async with asyncio.timeout(5), database.statement() as conn:
        assert await conn.fetchval("select 1") == 1
    admin = await asyncpg.connect(urls.superuser)
    sleeping = "select count(*) from pg_stat_activity where state = 'active' and query = 'select pg_sleep(30)'"
    assert await admin.fetchval(sleeping) == 0
    await admin.close()
    await database.close()


async def test_a_failed_start_gives_the_turn_back() -> None:
    async def fail() -> Any:
        raise OSError("nobody there")

    alone = Connections(fail, 1)
    for _ in range(3):
        with pytest.raises(OSError, match="nobody there"):
            await alone.take()
    await alone.close()


async def test_what_nobody_uses_is_closed(urls: Urls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db.connections, "IDLE_SECONDS", 0.1)
    connections = Connections(lambda: asyncpg.connect(urls.api), 2)
    conn = await connections.take()
    connections.give_back(conn)
    await _is_closed(conn)
    await connections.close()


async def test_closing_waits_for_who_is_at_work(urls: Urls) -> None:
    connections = Connections(lambda: asyncpg.connect(urls.api), 2)
    conn = await connections.take()
    closing = asyncio.create_task(connections.close())
    await asyncio.sleep(0)
    assert await conn.fetchval("select 1") == 1
    assert not closing.done()
    connections.give_back(conn)
    await closing
    assert conn.is_closed()
