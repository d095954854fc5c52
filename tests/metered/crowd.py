"""Many organizations with owners, members and keys, for tests that change thousands of them over HTTP."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import psycopg

from db.pool import Database
from db.types import SYSTEM, AccountId, ApiKeyId, Plan, UserId, new_id
from settings import Settings
from tests.bench.planting import token
from tests.founding import Founded, found
from tests.servers import Urls


@dataclass(frozen=True, slots=True)
class House:
    """An organization with its owner's session and keys that were never used."""

    founded: Founded
    owner: str
    keys: list[tuple[ApiKeyId, str]]


async def house(database: Database, settings: Settings, plan: Plan = "pro") -> House:
    """An organization with its owner, logged in."""
    founded = await found(database, plan)
    return House(founded, f"Bearer {await token(settings, database, founded)}", [])


async def member(database: Database, settings: Settings, home: House) -> tuple[UserId, str]:
    """Somebody in the team, logged in."""
    organization, account, user = home.founded.organization_id, AccountId(new_id()), UserId(new_id())
    email = f"member-{user.hex[-12:]}@example.com"
    async with database.tenant(organization, SYSTEM) as tenant:
        await tenant.conn.execute("select identity.create_account($1, $2, $2, null, '!')", account, email)
        await tenant.conn.execute(
            "insert into tenancy.users (organization_id, id, account_id, email, role)"
            " values ($1, $2, $3, $4, 'member')",
            organization, user, account, email,
        )  # fmt: skip
        await tenant.conn.execute("select identity.add_seat($1, $2)", account, user)
    return user, f"Bearer {await token(settings, database, Founded(organization, account, user))}"


def give_keys(urls: Urls, homes: list[House], count: int, expires_at: datetime | None = None) -> None:
    """So many more keys for each of the houses, written in bulk."""
    made = [(home, ApiKeyId(new_id()), f"sk_live_{secrets.token_hex(32)}") for home in homes for _ in range(count)]
    with psycopg.connect(urls.superuser) as conn, conn.cursor() as cursor:
        cursor.executemany(
            "insert into tenancy.api_keys"
            " (organization_id, id, name, first4, last4, scopes, created_by, created_at, expires_at)"
            " values (%s, %s, 'k', 'aaaa', 'zzzz', '{usage:read}', %s, now() - interval '1 day', %s)",
            [(home.founded.organization_id, key, home.founded.user_id, expires_at) for home, key, _ in made],
        )
        cursor.executemany(
            "insert into identity.api_key_directory (digest, organization_id, api_key_id) values (%s, %s, %s)",
            [(sha256(value.encode()).digest(), home.founded.organization_id, key) for home, key, value in made],
        )
    for home, key, value in made:
        home.keys.append((key, value))


def lift_limits(urls: Urls, homes: list[House]) -> None:
    """A rate that is not in the way."""
    with psycopg.connect(urls.superuser) as conn, conn.cursor() as cursor:
        cursor.executemany(
            "update tenancy.organizations set rate_limit_override = 1000000 where organization_id = %s",
            [(home.founded.organization_id,) for home in homes],
        )
