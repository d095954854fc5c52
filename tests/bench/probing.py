"""Whether the time of an answer tells if an e-mail address has an account: log-in, reset and invitation, as ratios.

Known and unknown addresses are asked about in turns, each from a network of its own, on one server in one run.
Passwords are hashed at the lowest cost, so that the work around the hash is compared. The noise is what the same
measurement says of the unknown addresses split in two. Ends with 1 when a ratio is further from 1 than noise explains.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import httpx
import psycopg

from db import accounts
from db.passwords import Passwords
from db.pool import Database
from tests.networks import new_network
from tests.servers import TestServers, Urls
from tests.stack import serving, settings_for
from tests.visitors import PASSWORD, TurnableClock, Visitor

WARM_UP = 20
TOLERANCE = 0.05  # of the median: what two halves of one kind may differ by on a busy machine
INVITATIONS_EACH = 80  # that one organization sends: below its daily cap


class Result(NamedTuple):
    """What one endpoint's answers take, in milliseconds, and the ratios."""

    name: str
    known: float
    unknown: float
    ratio: float
    noise: float

    @property
    def tells(self) -> bool:
        """Whether the time tells known from unknown."""
        return abs(self.ratio - 1) > max(TOLERANCE, 3 * self.noise)


class LogIn:
    """Guessing a password."""

    path = "/auth/login"
    expected = 401

    def __init__(self, http: httpx.AsyncClient, urls: Urls) -> None:
        self.http, self.urls = http, urls

    async def visitor(self) -> Visitor:
        """Somebody who asks once."""
        return Visitor(self.http, new_network())

    def body(self, email: str) -> dict[str, str]:
        """What is asked."""
        return {"email": email, "password": "not-the-umbrella-41"}


class Reset(LogIn):
    """Asking for a mail with a new password."""

    path = "/auth/request-password-reset"
    expected = 200

    def body(self, email: str) -> dict[str, str]:
        """What is asked."""
        return {"email": email}


class Invitation(LogIn):
    """Inviting somebody who may have an account elsewhere."""

    path = "/team/invite"
    expected = 201

    def __init__(self, http: httpx.AsyncClient, urls: Urls) -> None:
        super().__init__(http, urls)
        self._sent = 0
        self._inviter: Visitor | None = None

    async def visitor(self) -> Visitor:
        """An owner with invitations left for today."""
        if self._inviter is None or self._sent % INVITATIONS_EACH == 0:
            self._inviter = await self._owner(f"owner-{self._sent}@mts-test.com")
        self._sent += 1
        return self._inviter

    def body(self, email: str) -> dict[str, str]:
        """What is asked."""
        return {"email": email, "role": "member"}

    async def _owner(self, email: str) -> Visitor:
        owner = await super().visitor()
        body = {"organization_name": "Acme", "email": email, "password": PASSWORD}
        owner.token = (await owner.post("/auth/register", body)).data["token"]
        with psycopg.connect(self.urls.superuser, autocommit=True) as conn:
            conn.execute("update identity.accounts set email_verified_at = now() where email = %s", [email])
        return owner


def measure(tries: int) -> list[Result]:
    """Start everything anew, ask `tries` times about addresses of each kind at each endpoint."""
    servers = TestServers.begin()
    try:
        with servers.database("probing") as name, tempfile.TemporaryDirectory() as folder:
            return asyncio.run(_measure(servers.urls(name), servers.redis_url("probing"), Path(folder), tries))
    finally:
        servers.end()


async def _measure(urls: Urls, redis_url: str, folder: Path, tries: int) -> list[Result]:
    settings = settings_for(urls.api, redis_url, 9, folder)
    async with serving(settings, TurnableClock()) as (http, _):
        return [await _compare(probe(http, urls), tries) for probe in (LogIn, Reset, Invitation)]


async def _compare(probe: LogIn, tries: int) -> Result:
    """Ask about known and unknown addresses in turns, in a random order, each address once."""
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    for known in await _known(probe, tries + WARM_UP):
        for kind, email in random.sample([("known", known), ("unknown", known.replace("known", "other"))], 2):
            visitor = await probe.visitor()
            started = time.perf_counter()
            reply = await visitor.post(probe.path, probe.body(email))
            times[kind].append(time.perf_counter() - started)
            assert reply.status == probe.expected, reply.response.text
    counted = {kind: [seconds * 1000 for seconds in taken[WARM_UP:]] for kind, taken in times.items()}
    known_ms, unknown_ms = (statistics.median(counted[kind]) for kind in ("known", "unknown"))
    halves = [statistics.median(counted["unknown"][start::2]) for start in (0, 1)]
    noise = abs(halves[0] / halves[1] - 1)
    return Result(type(probe).__name__, known_ms, unknown_ms, unknown_ms / known_ms, noise)


async def _known(probe: LogIn, count: int) -> list[str]:
    """Addresses that have an account."""
    passwords, database = Passwords(4), await Database.open(probe.urls.api, 2, "probing")
    emails = [f"known-{number}@{type(probe).__name__}.mts-test.com".lower() for number in range(count)]
    stored = await passwords.hash(PASSWORD)
    for email in emails:
        async with database.resolver() as conn:
            await accounts.create(conn, email=email, full_name=None, password_hash=stored)
    await database.close()
    passwords.close()
    with psycopg.connect(probe.urls.superuser, autocommit=True) as conn:
        conn.execute("vacuum analyze identity.accounts")  # an account is old when somebody asks about it
    return emails


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="mts bench probing", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tries", type=int, default=300, help="addresses of each kind at each endpoint (default: 300)")
    results = measure(parser.parse_args().tries)
    print(f"{'':12}{'known':>10}{'unknown':>10}{'ratio':>8}{'noise':>8}")
    for each in results:
        print(f"{each.name:12}{each.known:8.2f}ms{each.unknown:8.2f}ms{each.ratio:8.3f}{each.noise:8.3f}")
    return int(any(each.tells for each in results))


if __name__ == "__main__":
    raise SystemExit(main())
