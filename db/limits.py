"""Who a key is and whether it may go on: resolution, rate limit, quota and freshness in one round trip."""

import time
from dataclasses import dataclass

from db import usage
from db.counters import Counters, CountersAway
from db.epochs import Epochs, names
from db.errors import DomainError, Forbidden, TooMany, Unavailable
from db.fallback import LocalWindows
from db.key_cache import ResolvedKey
from db.key_digest import SHAPE, KeyDigest, plain
from db.last_use import LastUse
from db.limit_headers import Verdict, headers, refusal
from db.lookups import Found
from db.pool import Database
from db.quota_load import QuotaLoads
from db.quota_watch import QuotaWatch
from db.resolution import Resolution, invalid
from db.types import Clock, OrganizationId
from db.unsettled import Unsettled

__all__ = ["Admission", "Limits", "ResolvedKey"]
FRESH = "*"
"""In place of an epoch: read since the request began, so that nothing that answered before can be missing in it."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A valid key with the answer of its limits: the headers of the answer, and the refusal if there is one.

    `taken_from` names month and generation of the quota that the request was taken from, if it was from one.
    """

    key: ResolvedKey
    headers: list[tuple[bytes, bytes]]
    refusal: DomainError | None
    taken_from: tuple[str, str] | None = None


class Limits:
    """Rate limits, quotas and resolved keys of one process, counted in Redis for all processes."""

    def __init__(
        self, database: Database, redis_url: str, clock: Clock, processes: int = 1, digest: KeyDigest = plain
    ) -> None:
        self.digest = digest
        self._database = database
        self._clock = clock
        self._resolution = Resolution(database, clock)
        self._local = LocalWindows(processes)
        self._last_use = LastUse(database, clock)
        self._quota_watch = QuotaWatch(database)
        self.counters = Counters(redis_url, on_connect=self._connected)
        self._epochs = Epochs(self.counters, clock, self._resolution.cache.clear)
        self._loads = QuotaLoads(database, self.counters)
        self._unsettled = Unsettled(self._epochs.recount)

    async def close(self) -> None:
        """Write the last use of keys and close the connections to Redis."""
        await self._last_use.close()
        await self._quota_watch.close()
        self._unsettled.close()
        self._epochs.close()
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
        if not SHAPE.fullmatch(presented_key):
            raise invalid()
        digest = self.digest(presented_key)
        self._resolution.refuse_unknown(digest)
        try:
            return await self._admit(digest)
        except CountersAway:
            return await self._admit_without_redis(digest)

    async def find(self, presented_key: str) -> Found | None:
        """Where a key leads, past all memory and all limits; None for one of wrong shape, unknown or revoked."""
        if not SHAPE.fullmatch(presented_key):
            return None
        return await self._resolution.find(self.digest(presented_key))

    def created(self, key: str) -> None:
        """A key has come into being: after the commit, before the answer."""
        self._resolution.cache.forget_unknown(self.digest(key))

    async def bump(self, organization_id: OrganizationId, *, recount: bool = False) -> None:
        """Make every process read the organization's keys, plan and status anew: after the commit, before the answer.

        With `recount` its quota is counted from Postgres again.
        """
        await self._epochs.bump(organization_id, recount=recount)

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
        if admission.taken_from is None:
            return
        _, _, quota = names(admission.key.organization_id)
        try:
            await self.counters.run("give_back", [quota], list(admission.taken_from))
        except CountersAway:
            self._unsettled.note(admission.key.organization_id)

    def _connected(self) -> None:
        """A new connection: Redis may have lost epochs, and has missed what was let through without it."""
        self._resolution.cache.clear()
        self._unsettled.begin()

    async def _admit(self, digest: bytes) -> Admission:
        stale_since: float | None = None
        for _ in range(5):
            entry = await self._resolution.entry(digest, self.counters)
            if self._unsettled.organizations:
                await self._unsettled.settle(entry.key.organization_id)
            is_fresh = stale_since is not None and entry.read_at >= stale_since
            verdict = await self._ask(entry.key, FRESH if is_fresh else entry.epoch)
            if verdict.kind == "stale":
                stale_since = stale_since or time.monotonic()
                self._resolution.cache.drop(digest)
            elif verdict.kind == "load":
                await self._loads.load(entry.key.organization_id, verdict.epoch, verdict.month)
            else:
                return self._admission(entry.key, verdict)
        raise Unavailable

    async def _ask(self, key: ResolvedKey, epoch: str) -> Verdict:
        quota = -1 if key.month_quota is None or key.is_test else key.month_quota
        arguments = [epoch, str(key.per_minute), str(quota)]
        return Verdict(*await self.counters.run("admit", names(key.organization_id), arguments))

    def _admission(self, key: ResolvedKey, verdict: Verdict) -> Admission:
        refused: DomainError | None = refusal(key, verdict)
        if refused is None and key.status != "active":
            refused = _suspended(key)
        self._last_use.note(key.organization_id, key.api_key_id)
        taken_from = (verdict.month, verdict.generation) if verdict.generation else None
        if taken_from is not None and key.month_quota:
            self._quota_watch.saw(key.organization_id, verdict.month_used, key.month_quota)
        return Admission(key, headers(key, verdict), refused, taken_from)

    async def _admit_without_redis(self, digest: bytes) -> Admission:
        """Nobody trusts what is remembered: key and quota come from Postgres, the rate from this process's share."""
        key = await self._resolution.afresh(digest)
        now, subject, used = self._clock.now(), f"key:{key.organization_id}", -1
        wait = self._local.hit(subject, key.per_minute, 60, shared=True)
        left = self._local.left(subject, key.per_minute, 60)
        if key.month_quota is not None and not key.is_test:
            self._unsettled.note(key.organization_id)
            used = await usage.count_month(self._database, key.organization_id, now.strftime("%Y-%m"))
        spent = key.month_quota is not None and used >= key.month_quota
        kind = "rate" if wait else "quota" if spent else "ok"
        verdict = Verdict(kind, "", int(now.timestamp()), left, wait or 60, used, now.strftime("%Y-%m"), "")
        return self._admission(key, verdict)


def _suspended(key: ResolvedKey) -> Forbidden:
    if key.status == "overdue":
        why = "The API keys of this organization are suspended until its overdue invoice is paid"
        return Forbidden("ORGANIZATION_SUSPENDED", why, {"reason": "overdue_invoice"})
    return Forbidden("ORGANIZATION_SUSPENDED", "This organization is suspended")
