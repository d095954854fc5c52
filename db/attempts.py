"""Growing delays for guessing: 1, 2, 4 … 60 seconds between attempts, never a lock that a stranger could close."""

from dataclasses import dataclass
from hashlib import sha256

from db.counters import Counters, CountersAway
from db.errors import TooMany
from db.pool import Database
from db.statements import load
from db.types import Clock

queries = load("accounts")

FORGOTTEN_AFTER = 3600  # seconds without an attempt


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose attempts are counted, such as `account:ada@example.com`, and how many may fail before the delays begin."""

    name: str
    free: int

    @property
    def digest(self) -> bytes:
        """What is kept of the name, so that no store holds an address."""
        return sha256(self.name.encode()).digest()


class Attempts:
    """Counts attempts in Redis for all processes, in Postgres while Redis is away."""

    def __init__(self, database: Database, counters: Counters, clock: Clock) -> None:
        self._database = database
        self._counters = counters
        self._clock = clock

    async def take(self, subject: Subject) -> None:
        """Count an attempt as failed until it succeeds, so that a thousand at once are a thousand.

        Raises TooMany TOO_MANY_ATTEMPTS with the seconds to wait; a refused attempt does not count.
        """
        try:
            arguments = [str(subject.free), str(FORGOTTEN_AFTER)]
            wait = int(await self._counters.run("attempt", [_key(subject)], arguments))
        except CountersAway:
            wait = await self._take_in_postgres(subject)
        if wait:
            raise TooMany("TOO_MANY_ATTEMPTS", f"Too many attempts; try again in {wait} s", wait)

    async def succeeded(self, subject: Subject, *, forget_failures: bool) -> None:
        """The attempt was right and no longer counts; with `forget_failures` none of the former ones does."""
        flag = "1" if forget_failures else "0"
        try:
            await self._counters.run("attempt_succeeded", [_key(subject)], [flag])
        except CountersAway:
            async with self._database.resolver() as conn:
                await queries.give_attempt_back(conn, subject=subject.digest, all_of_them=forget_failures)

    async def _take_in_postgres(self, subject: Subject) -> int:
        async with self._database.resolver() as conn:
            wait: int = await queries.take_attempt(
                conn, subject=subject.digest, free=subject.free, now=self._clock.now()
            )
        return wait


def _key(subject: Subject) -> str:
    return f"attempts:{{{subject.digest.hex()}}}"
