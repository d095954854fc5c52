"""After a change has answered no process accepts the old state: ten thousand revocations, two processes hammering."""

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import IO

import psycopg
import pytest

from db import keys
from db.errors import Unauthorized
from db.limits import Limits
from db.pool import Database
from db.types import SYSTEM, ApiKeyId, new_id
from settings import ROOT
from tests.founding import Founded, found, new_key
from tests.servers import Urls

REVOCATIONS = 10_000
AT_ONCE = 500
ORGANIZATIONS = 20


@dataclass
class Hammer:
    """Another process that uses keys without a pause."""

    process: "subprocess.Popen[str]"

    @property
    def pipes(self) -> tuple[IO[str], IO[str]]:
        """Its input and its output."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        return self.process.stdin, self.process.stdout

    def say(self, line: str) -> None:
        """One line to it."""
        self.pipes[0].write(line + "\n")
        self.pipes[0].flush()

    def hear(self) -> str:
        """One line from it."""
        return self.pipes[1].readline().strip()


@pytest.fixture(scope="module")
def hammers(urls: Urls, redis_url: str) -> Iterator[list[Hammer]]:
    """Two processes over the same stores."""
    command = [sys.executable, "-m", "tests.metered.hammer", urls.api, redis_url]
    with ExitStack() as stack:
        started = []
        for _ in range(2):
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
            stack.callback(process.wait)
            stack.callback(process.kill)
            started.append(Hammer(process))
        assert [hammer.hear() for hammer in started] == ["ready", "ready"]
        yield started


def _many_keys(urls: Urls, founded: list[Founded], count: int) -> list[tuple[Founded, ApiKeyId, str]]:
    """Keys of several organizations, written in bulk."""
    made = [
        (founded[number % len(founded)], ApiKeyId(new_id()), f"sk_live_{secrets.token_hex(32)}")
        for number in range(count)
    ]
    with psycopg.connect(urls.superuser) as conn, conn.cursor() as cursor:
        cursor.executemany(
            "insert into tenancy.api_keys (organization_id, id, name, first4, last4, scopes, created_by)"
            " values (%s, %s, 'k', 'aaaa', 'zzzz', '{}', %s)",
            [(owner.organization_id, key_id, owner.user_id) for owner, key_id, _ in made],
        )
        cursor.executemany(
            "insert into identity.api_key_directory (digest, organization_id, api_key_id) values (%s, %s, %s)",
            [(sha256(secret.encode()).digest(), owner.organization_id, key_id) for owner, key_id, secret in made],
        )
    return made


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_ten_thousand_revocations_are_final_in_every_process(
    database: Database, limits: Limits, hammers: list[Hammer], urls: Urls
) -> None:
    founded = [await found(database, "pro") for _ in range(ORGANIZATIONS)]
    _unlimited(urls)
    accepted = 0
    for _ in range(REVOCATIONS // AT_ONCE):
        made = _many_keys(urls, founded, AT_ONCE)
        for hammer in hammers:
            hammer.say("keys " + " ".join(secret for _, _, secret in made))
        assert [await asyncio.to_thread(hammer.hear) for hammer in hammers] == ["warm", "warm"]
        answered = await _revoke_all(database, limits, made)
        for hammer in hammers:
            hammer.say("stop")
        for hammer in hammers:
            heard = json.loads(await asyncio.to_thread(hammer.hear))
            late = {key: began - answered[key] for key, (began, _) in heard.items() if began > answered[key]}
            assert late == {}, "accepted after the revocation had answered"
            accepted += sum(count for _, count in heard.values())
    assert accepted > REVOCATIONS, "the keys were in use while they were revoked"


async def _revoke_all(
    database: Database, limits: Limits, made: list[tuple[Founded, ApiKeyId, str]]
) -> dict[str, float]:
    """When each revocation answered."""
    answered: dict[str, float] = {}
    queue = iter(made)

    async def revoke() -> None:
        for owner, key_id, secret in queue:
            async with database.tenant(owner.organization_id, SYSTEM) as tenant:
                await keys.revoke(tenant, key_id, datetime.now(UTC))
            await limits.bump(owner.organization_id)
            answered[secret] = time.monotonic()

    await asyncio.gather(*(revoke() for _ in range(4)))
    return answered


def _unlimited(urls: Urls) -> None:
    with psycopg.connect(urls.superuser) as conn:
        conn.execute("update tenancy.organizations set rate_limit_override = 1000000")


@pytest.mark.parametrize("change", ["plan", "suspension", "override"])
async def test_every_change_reaches_every_process_before_its_answer(
    database: Database, limits: Limits, elsewhere: Limits, urls: Urls, change: str
) -> None:
    founded = await found(database, "starter")
    new = await new_key(database, founded)
    statements = {
        "plan": "update tenancy.organizations set plan = 'pro' where organization_id = %s",
        "override": "update tenancy.organizations set rate_limit_override = 77 where organization_id = %s",
        "suspension": "update identity.organization_directory set status = 'suspended' where organization_id = %s",
    }
    for process in (limits, elsewhere):
        await process.admit(new.secret)
    before = (await elsewhere.admit(new.secret)).key
    with psycopg.connect(urls.superuser) as conn:
        conn.execute(statements[change].encode(), [founded.organization_id])
    await limits.bump(founded.organization_id)
    for process in (limits, elsewhere):
        after = (await process.admit(new.secret)).key
        assert (after.plan, after.per_minute, after.status) != (before.plan, before.per_minute, before.status)


async def test_a_key_of_another_organization_is_untouched_by_a_revocation(
    database: Database, limits: Limits, elsewhere: Limits
) -> None:
    mine, other = await found(database, "pro"), await found(database, "pro")
    ended, kept = await new_key(database, mine), await new_key(database, other)
    for secret in (ended.secret, kept.secret):
        await elsewhere.admit(secret)
    async with database.tenant(mine.organization_id, SYSTEM) as tenant:
        await keys.revoke(tenant, ended.key.id, datetime.now(UTC))
    await limits.bump(mine.organization_id)
    with pytest.raises(Unauthorized):
        await elsewhere.admit(ended.secret)
    assert (await elsewhere.admit(kept.secret)).refusal is None
