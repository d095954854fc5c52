"""Who a key is and whether it may go on: resolution, rate limit, quota and freshness in one round trip."""

import asyncio
import re
import time
from dataclasses import dataclass
from hashlib import sha256

from db import keys, usage
from db.counters import Counters, CountersAway
from db.errors import DomainError, Forbidden, TooMany, Unauthorized, Unavailable
from db.fallback import LocalWindows
from db.key_cache import Entry, KeyCache, ResolvedKey
from db.last_use import LastUse
from db.limit_headers import Verdict, headers, refusal
from db.pool import Database
from db.quota_watch import QuotaWatch
from db.types import Clock, OrganizationId

__all__ = ["Admission", "Limits", "ResolvedKey"]

_SHAPE = re.compile(r"sk_(live|test)_[0-9a-f]{64}")
_INVALID = ("INVALID_API_KEY", "This API key is not valid")


@dataclass(frozen=True, slots=True)
class Admission:
    """A valid key with the answer of its limits: the headers of the answer, and the refusal if there is one."""

    key: ResolvedKey
    headers: list[tuple[bytes, bytes]]
    refusal: DomainError | None
    month: str | None = None


class Limits:
    """Rate limits, quotas and resolved keys of one process, counted in Redis for all processes."""

    def __init__(self, database: Database, redis_url: str, clock: Clock, processes: int = 1) -> None:
        self._database = database
        self._clock = clock
        self._cache = KeyCache()
        self._fills: dict[bytes, asyncio.Task[Entry | None]] = {}
        self._local = LocalWindows(processes)
        self._last_use = LastUse(database, clock)
        self._quota_watch = QuotaWatch(database)
        self.counters = Counters(redis_url, on_connect=self._cache.clear)

    async def close(self) -> None:
        """Write the last use of keys and close the connections to Redis."""
        await self._last_use.close()
        await self._quota_watch.close()
        await self.counters.close()

    async def ping(self) -> None:
        """Raises Unavailable when Redis does not answer."""
        try:
            await self.counters.ping()
        except CountersAway as error:
            raise Unavailable("redis does not answer") from error

    async def admit(self, presented_key: str) -> Admission:
        """Resolve a key and count one request of its organization.

        Raises Unauthorized INVALID_API_KEY for a key of wrong shape, unknown, revoked or expired: all alike.
        Suspension, rate limit and quota are refusals in the admission, since their answers are recorded.
        """
        if not _SHAPE.fullmatch(presented_key):
            raise Unauthorized(*_INVALID)
        digest = sha256(presented_key.encode()).digest()
        if self._cache.is_unknown(digest, time.monotonic()):
            raise Unauthorized(*_INVALID)
        try:
            return await self._admit(digest)
        except CountersAway:
            return await self._admit_without_redis(digest)

    async def bump(self, organization_id: OrganizationId, *, recount: bool = False) -> None:
        """Make every process read the organization's keys, plan and status anew: after the commit, before the answer.

        With `recount` its quota is counted from Postgres again. With Redis away nothing is remembered by anybody.
        """
        month = self._clock.now().strftime("%Y-%m")
        keys_of = [f"epoch:{{{organization_id}}}", f"quota:{{{organization_id}}}"]
        try:
            await self.counters.run("bump", keys_of, ["1" if recount else "0", month])
        except CountersAway:
            self._cache.clear()

    async def hit(self, bucket: str, subject: str, limit: int, window_seconds: int) -> None:
        """Count one call of `subject` in a bucket such as `login`; raises TooMany over `limit` in the window."""
        try:
            key = f"limit:{{{bucket}:{subject}}}"
            wait = int(await self.counters.run("hit", [key], [str(limit), str(window_seconds)]))
        except CountersAway:
            wait = self._local.hit(f"{bucket}:{subject}", limit, window_seconds)
        if wait:
            raise TooMany(
                "RATE_LIMIT_EXCEEDED", f"Too many requests; try again in {wait} s", wait,
                {"limit": limit, "window": f"{window_seconds}s", "violated_policies": [bucket]},
            )  # fmt: skip

    async def give_back(self, admission: Admission) -> None:
        """Give a request that is not charged back to the month it was taken from."""
        if admission.month is None or admission.refusal is not None:
            return
        try:
            await self.counters.run("give_back", [f"quota:{{{admission.key.organization_id}}}"], [admission.month])
        except CountersAway:
            return

    async def _admit(self, digest: bytes) -> Admission:
        for _ in range(5):
            entry = self._cache.get(digest) or await self._fill(digest)
            if entry is None:
                raise Unauthorized(*_INVALID)
            verdict = await self._ask(entry.key, entry.epoch)
            if verdict.kind == "stale":
                self._cache.drop(digest)
            elif verdict.kind == "load":
                await self._load_quota(entry.key, verdict.month)
            else:
                return self._admission(entry.key, verdict)
        raise Unavailable

    async def _ask(self, key: ResolvedKey, epoch: str) -> Verdict:
        organization = f"{{{key.organization_id}}}"
        quota = -1 if key.month_quota is None or key.is_test else key.month_quota
        answer = await self.counters.run(
            "admit",
            [f"epoch:{organization}", f"rate_limit:{organization}", f"quota:{organization}"],
            [epoch, str(key.per_minute), str(quota)],
        )
        return Verdict(*answer)

    def _admission(self, key: ResolvedKey, verdict: Verdict) -> Admission:
        if key.expires_at is not None and key.expires_at <= self._clock.now():
            raise Unauthorized(*_INVALID)
        refused: DomainError | None = refusal(key, verdict)
        if refused is None and key.status != "active":
            refused = Forbidden("ORGANIZATION_SUSPENDED", "This organization is suspended")
        self._last_use.note(key.organization_id, key.api_key_id)
        month = verdict.month if verdict.kind == "ok" and verdict.month_used >= 0 else None
        if month is not None and key.month_quota:
            self._quota_watch.saw(key.organization_id, verdict.month_used, key.month_quota)
        return Admission(key, headers(key, verdict), refused, month)

    async def _fill(self, digest: bytes) -> Entry | None:
        """Read a key once, however many requests ask for it at the same moment."""
        fill = self._fills.get(digest)
        if fill is None:
            fill = asyncio.create_task(self._read(digest))
            self._fills[digest] = fill
            fill.add_done_callback(lambda _: self._fills.pop(digest, None))
        return await asyncio.shield(fill)

    async def _read(self, digest: bytes) -> Entry | None:
        """The epoch is read before the row: a revocation in between makes this entry stale, never trusted."""
        generation = self._cache.generation
        found = await keys.find(self._database, digest)
        if found is None:
            self._cache.put_unknown(digest, time.monotonic())
            return None
        organization = f"{{{found.organization_id}}}"
        answer = await self.counters.run(
            "admit", [f"epoch:{organization}", f"rate_limit:{organization}", f"quota:{organization}"], ["", "0", "-1"]
        )
        key = await keys.resolve(self._database, found, self._clock.now())
        if key is None:
            return None
        entry = Entry(key, answer[1])
        self._cache.put(digest, entry, generation)
        return entry

    async def _load_quota(self, key: ResolvedKey, month: str) -> None:
        used = await usage.count_month(self._database, key.organization_id, month)
        quota_key = f"quota:{{{key.organization_id}}}:{month}"
        await self.counters.set_if_absent(quota_key, str(used), 40 * 86_400)

    async def _admit_without_redis(self, digest: bytes) -> Admission:
        """Nobody trusts what is remembered: key and quota come from Postgres, the rate from this process's share."""
        found = await keys.find(self._database, digest)
        key = await keys.resolve(self._database, found, self._clock.now()) if found else None
        if key is None:
            raise Unauthorized(*_INVALID)
        now = self._clock.now()
        wait = self._local.hit(f"key:{key.organization_id}", key.per_minute, 60, shared=True)
        used = -1
        if key.month_quota is not None and not key.is_test:
            used = await usage.count_month(self._database, key.organization_id, now.strftime("%Y-%m"))
        spent = key.month_quota is not None and used >= key.month_quota
        kind = "rate" if wait else "quota" if spent else "ok"
        left = self._local.left(f"key:{key.organization_id}", key.per_minute, 60)
        return self._admission(
            key, Verdict(kind, "", int(now.timestamp()), left, wait or 60, used, now.strftime("%Y-%m"))
        )
