"""Who is let through to a standby: row security holds there, and nobody reads a server that is no standby of ours."""

from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from cli.errors import CommandError
from cli.self_check import refuse_unsafe_start
from db.checks import UnsafeRole
from db.counters import Counters
from db.pool import Database
from db.replica import ElsewhereError, Replica
from db.standby import Address, Standby, Unusable
from db.types import SYSTEM, LogPosition
from tests.founding import found
from tests.replica.conftest import Scene, on, until
from tests.replica.standby import Standby as Server
from tests.replica.standby import execute, standby_of
from tests.servers import TestServers, Urls
from tests.stack import settings_for

OWN = "select organization_id from tenancy.organizations"


async def test_row_security_holds_on_the_standby(own_urls: Urls, standby: Server, replica_url: str) -> None:
    primary, door = await Database.open(own_urls.api, 2, "tests"), await Database.open(replica_url, 2, "tests")
    mine, _ = await found(primary), await found(primary)
    standby.catch_up()
    async with door.tenant(mine.organization_id, SYSTEM, read_only=True, replayed=LogPosition(1)) as tenant:
        assert [row[0] for row in await tenant.conn.fetch(OWN)] == [mine.organization_id]
    async with door.resolver(read_only=True) as conn:
        with pytest.raises(asyncpg.PostgresError) as refused:
            await conn.fetch(OWN)
    assert refused.value.sqlstate == "ORG01"
    await primary.close()
    await door.close()


async def test_a_read_begins_on_a_standby_that_has_come_so_far_and_nowhere_else(
    own_urls: Urls, standby: Server, replica_url: str
) -> None:
    primary, door = await Database.open(own_urls.api, 2, "tests"), await Database.open(replica_url, 2, "tests")
    mine = await found(primary)
    for at, replayed, state in ((primary, 1, "REP01"), (door, 1 << 60, "REP02")):
        with pytest.raises(asyncpg.PostgresError) as refused:
            async with at.tenant(mine.organization_id, SYSTEM, read_only=True, replayed=LogPosition(replayed)):
                raise AssertionError
        assert refused.value.sqlstate == state
    await primary.close()
    await door.close()


async def test_a_process_refuses_to_start_on_a_standby_that_row_security_does_not_bind(
    own: TestServers, own_urls: Urls, standby: Server
) -> None:
    primary, counters = await Database.open(own_urls.api, 2, "tests"), Counters(own.redis_url("0"))
    replica = Replica(Address(on(own_urls.superuser, standby), 2, 100), primary, counters, 10)
    with pytest.raises(UnsafeRole, match="superuser"):
        await replica.start()
    await replica.close()
    await primary.close()


def test_so_does_the_command_with_a_sentence(own: TestServers, own_urls: Urls, standby: Server, tmp_path: Path) -> None:
    settings = settings_for(own_urls.api, own.redis_url("0"), 9, tmp_path)
    for url, refusal in ((on(own_urls.superuser, standby), "superuser"), ("postgresql://a:b@127.0.0.1:9/none", None)):
        given = settings.model_copy(update={"replica_url": SecretStr(url)})
        if refusal is None:
            refuse_unsafe_start(given)  # a standby that is away stops nobody
        else:
            with pytest.raises(CommandError, match=refusal):
                refuse_unsafe_start(given)


async def test_only_a_standby_of_the_very_primary_is_read(replica_url: str, standby: Server, own_urls: Urls) -> None:
    with pytest.raises(Unusable, match="another server"):
        await Standby.open(Address(replica_url, 1, 100), 4711)
    with pytest.raises(Unusable, match="is no standby"):
        await Standby.open(Address(own_urls.api, 1, 100), 4711)
    with pytest.raises(Unusable, match="does not answer"):
        await Standby.open(Address("postgresql://nobody:none@127.0.0.1:9/none", 1, 100), 4711)


async def test_a_promoted_standby_is_read_by_nobody(
    own: TestServers, scene: Scene, own_urls: Urls, capfd: pytest.CaptureFixture[str]
) -> None:
    with standby_of(own, "promoted") as server:
        counters, primary = Counters(own.redis_url("0")), await Database.open(own_urls.api, 2, "tests")
        replica = Replica(Address(on(own_urls.api, server), 2, 100), primary, counters, 10)
        await replica.start()
        mine = await found(primary)

        async def is_read() -> bool:
            return await replica.place(mine.organization_id) is not None

        await until(is_read)
        server.promote()
        execute(server.superuser_url(own_urls.api.rpartition("/")[2]), "update tenancy.organizations set name = 'Two'")
        wanted = await replica.place(mine.organization_id)
        if wanted is not None:  # nobody has looked since: the server's own word in the message that begins the read
            with pytest.raises(ElsewhereError):
                async with replica.tenant(mine.organization_id, SYSTEM, wanted, "r", "127.0.0.1"):
                    raise AssertionError

        async def is_left() -> bool:
            return replica.trouble == "is no standby"

        await until(is_left)
        assert await replica.place(mine.organization_id) is None
        await replica.close()
        await counters.close()
        await primary.close()
    assert "is no standby" in capfd.readouterr().out
