"""Contestants on connections of their own: lanes that race side by side, and what each of them is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from api.permissions import Permission, require
from db import accounts, team
from db.errors import DomainError, Forbidden
from db.pool import Database, Tenant
from db.types import SYSTEM, AccountId, Actor, Role, UserId, new_id, system_clock
from tests.founding import Founded, found
from tests.servers import Urls

ROUNDS, LANES = 1000, 8

Contestant = Awaitable[object]


@dataclass
class Ring:
    """Where the races are run."""

    database: Database
    worker: Database
    superuser: str

    def ask(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Ask Postgres around all row security."""
        with psycopg.connect(self.superuser, autocommit=True) as conn:
            return conn.execute(statement.encode(), arguments).fetchall()


@pytest.fixture(scope="module")
async def ring(urls: Urls) -> AsyncIterator[Ring]:
    """The doors of an API process and of a worker."""
    database, worker = await Database.open(urls.api, 2 * LANES, "races"), await Database.open(urls.worker, 4, "races")
    yield Ring(database, worker, urls.superuser)
    await database.close()
    await worker.close()


async def in_lanes(run: Callable[[int], Awaitable[None]]) -> None:
    """Run a thousand rounds, eight at a time; each lane runs its rounds one after the other."""

    async def lane() -> None:
        for number in range(ROUNDS // LANES):
            await run(number)

    await asyncio.gather(*(lane() for _ in range(LANES)))


async def outcomes(*contestants: Contestant) -> list[str]:
    """The codes of what happens when all start at once, sorted; whatever is no refusal of ours fails the test."""
    results = await asyncio.gather(*contestants, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, DomainError):
            raise result
    return sorted(result.code if isinstance(result, DomainError) else "OK" for result in results)


async def in_each_lane(ring: Ring, race: Callable[[Founded], Awaitable[None]]) -> None:
    """As `in_lanes`, each lane with an organization of its own."""
    homes = asyncio.Queue[Founded]()
    for _ in range(LANES):
        homes.put_nowait(await found(ring.database))

    async def one(_: int) -> None:
        home = homes.get_nowait()
        await race(home)
        homes.put_nowait(home)

    await in_lanes(one)


async def new_account(ring: Ring) -> tuple[AccountId, str]:
    """A person without a seat."""
    email = f"racer-{new_id().hex}@example.com"
    async with ring.database.resolver() as conn:
        return await accounts.create(conn, email=email, full_name=None, password_hash="!"), email


async def new_member(ring: Ring, home: Founded, role: Role) -> UserId:
    """Another person with a seat."""
    account_id, email = await new_account(ring)
    user_id = UserId(new_id())
    async with ring.database.tenant(home.organization_id, SYSTEM) as tenant:
        await team.add(tenant, user_id, account_id, email, role, system_clock.now())
    return user_id


async def locked(tenant: Tenant, acting: UserId, permission: Permission) -> Role:
    """The beginning of whatever changes the team."""
    role = await team.lock(tenant, acting)
    require(role, permission)
    return role


async def change_role(ring: Ring, home: Founded, acting: UserId, target: UserId, role: Role) -> None:
    async with ring.database.tenant(home.organization_id, Actor("user", acting)) as tenant:
        await locked(tenant, acting, Permission.CHANGE_ROLES)
        await team.set_role(tenant, target, role)


async def remove(ring: Ring, home: Founded, acting: UserId, target: UserId) -> None:
    async with ring.database.tenant(home.organization_id, Actor("user", acting)) as tenant:
        await locked(tenant, acting, Permission.REMOVE_MEMBERS)
        member = await team.member(tenant, target)
        if member.role == "owner":
            raise Forbidden("PERMISSION_DENIED", "Owners cannot be removed")
        await team.remove(tenant, member, system_clock.now())
