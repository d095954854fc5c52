"""Organizations, keys and sessions for measurements."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from uuid import UUID, uuid4

import psycopg

from api import tokens
from db import sessions
from db.pool import Database
from db.types import SYSTEM, new_id, system_clock
from settings import Settings
from tests.founding import Founded, found, new_key
from tests.servers import Urls

PEOPLE = 1_500  # each may ask 300 times a minute, and a refusal would be measured in the place of an answer


@dataclass(frozen=True)
class Planted:
    """A key without a limit that would get in the way, one whose minute is always used up, and people's tokens."""

    key: str
    limited_key: str
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class Large:
    """Keys of ten organizations, and of very many."""

    few: list[str]
    many: list[str]


async def plant(settings: Settings, urls: Urls) -> Planted:
    """Make them."""
    database = await Database.open(urls.api, 4, "bench")
    open_, limited = await found(database, "pro"), await found(database, "pro")
    key, limited_key = await new_key(database, open_), await new_key(database, limited)
    with psycopg.connect(urls.superuser) as conn:
        override = "update tenancy.organizations set rate_limit_override = %s where organization_id = %s"
        conn.execute(override, [100_000_000, open_.organization_id])
        conn.execute(override, [1, limited.organization_id])
    people = [await found(database, "pro") for _ in range(PEOPLE)]
    bearers = tuple([f"Bearer {await token(settings, database, person)}" for person in people])
    await database.close()
    return Planted(key.secret, limited_key.secret, bearers)


async def token(settings: Settings, database: Database, person: Founded) -> str:
    """A session's token for somebody who has just been founded."""
    now = system_clock.now()
    async with database.tenant(person.organization_id, SYSTEM) as tenant:
        session_id = await sessions.open_session(
            tenant, account_id=person.account_id, user_id=person.user_id, user_agent="bench", address="127.0.0.1",
            now=now, expires_at=now + timedelta(days=1),
        )  # fmt: skip
    issued, _ = tokens.issue(
        settings, account_id=person.account_id, user_id=person.user_id, organization_id=person.organization_id,
        session_id=session_id, now=now,
    )  # fmt: skip
    return issued


def plant_many(urls: Urls, organizations: int, keys: int, used: int = 20_000) -> Large:
    """Very many organizations and keys, written past triggers; values for a number of them, and for ten."""
    with psycopg.connect(urls.superuser) as conn, conn.cursor() as cursor:
        conn.execute("set session_replication_role = replica")
        conn.execute("alter table tenancy.organizations disable trigger user")
        conn.execute("alter table tenancy.api_keys disable trigger user")
        ids = [uuid4() for _ in range(organizations)]
        _copy(cursor, "tenancy.organizations (organization_id, name, email, plan, rate_limit_override)",
              [(each, "Acme", "a@example.com", "pro", 100_000_000) for each in ids])  # fmt: skip
        _copy(cursor, "identity.organization_directory (organization_id)", [(each,) for each in ids])
        made: list[tuple[UUID, UUID, str]] = [
            (ids[number % organizations], new_id(), f"sk_live_{secrets.token_hex(32)}") for number in range(keys)
        ]
        _copy(cursor, "tenancy.api_keys (organization_id, id, name, first4, last4, scopes, created_by)",
              [(owner, key, "k", "aaaa", "zzzz", "{messages:read}", uuid4()) for owner, key, _ in made])  # fmt: skip
        _copy(cursor, "identity.api_key_directory (digest, organization_id, api_key_id)",
              [(sha256(value.encode()).digest(), owner, key) for owner, key, value in made])  # fmt: skip
        conn.execute("alter table tenancy.organizations enable trigger user")
        conn.execute("alter table tenancy.api_keys enable trigger user")
    with psycopg.connect(urls.superuser, autocommit=True) as conn:
        conn.execute("analyze")
    return Large([value for _, _, value in made[:10]], [value for _, _, value in made[:: max(1, keys // used)]])


def _copy(cursor: psycopg.Cursor, target: str, rows: list[tuple[object, ...]]) -> None:
    with cursor.copy(f"copy {target} from stdin".encode()) as copy:
        for row in rows:
            copy.write_row(row)
