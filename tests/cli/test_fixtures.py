"""The ground every test stands on: databases of their own, roles that may log in, an empty Redis."""

import asyncpg
import pytest
import redis

from tests.servers import TestServers, Urls


@pytest.mark.parametrize("role", ["api", "worker", "migrator", "auditor", "exporter"])
async def test_every_login_role_reaches_the_modules_database(urls: Urls, database_name: str, role: str) -> None:
    connection = await asyncpg.connect(getattr(urls, role))
    try:
        assert await connection.fetchval("select current_user") == f"app_{role}"
        assert await connection.fetchval("select current_database()") == database_name
    finally:
        await connection.close()


async def test_the_modules_database_is_migrated(urls: Urls) -> None:
    connection = await asyncpg.connect(urls.superuser)
    try:
        assert await connection.fetchval("select to_regclass('tenancy.organizations') is not null")
    finally:
        await connection.close()


def test_a_second_database_is_another_one(servers: TestServers, database_name: str, worker_name: str) -> None:
    with servers.database(f"second_{worker_name}") as second:
        assert second != database_name
        servers.execute("create table public.mark ()", second)
        servers.execute("create table public.mark ()", database_name)


def test_redis_is_empty_and_our_own(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("mark", "1")
