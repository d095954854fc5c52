"""The traffic in `mts demo`: seeded, with days and weeks in it, errors, refusals, and clients that run away."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from random import Random
from uuid import UUID

from api.middleware.usage import billable
from db.billing import next_month
from db.types import ApiKeyId, OrganizationId, Plan
from db.usage import UsageRecord

HOURS = (2, 1, 1, 1, 2, 4, 9, 18, 34, 48, 54, 52, 44, 47, 52, 50, 45, 36, 25, 17, 12, 8, 5, 3)
WEEKDAYS = (1.18, 1.22, 1.2, 1.17, 1.12, 0.62, 0.49)
# Method, template, share, typical milliseconds, and the answers beside 200 in per mille.
ENDPOINTS = (
    ("POST", "/api/v1/messages/send", 62, 14.0, ((400, 14), (422, 4), (429, 11), (500, 2), (503, 3))),
    ("GET", "/api/v1/messages/{message_id}", 30, 6.0, ((404, 21), (429, 8), (500, 1))),
    ("GET", "/api/v1/messages", 8, 19.0, ((400, 6), (429, 5), (503, 2))),
)
POLLED = ENDPOINTS[1]
_HOURS_SUM = list(accumulate(HOURS))
_SHARES = list(accumulate(endpoint[2] for endpoint in ENDPOINTS))


@dataclass(frozen=True, slots=True)
class Source:
    """A key that calls from `since` until `until`, with its share of the traffic."""

    key_id: ApiKeyId
    share: int
    since: datetime
    until: datetime
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class Traffic:
    """Who calls on which plan: `plans` are the moments from which they were in force, oldest first."""

    organization_id: OrganizationId
    sources: Sequence[Source]
    plans: Sequence[tuple[datetime, Plan]]
    founded: datetime
    now: datetime

    def month(self, random: Random, first: date, requests: int) -> Iterator[UsageRecord]:
        """About so many requests of one month, none before the organization was founded and none after now."""
        length = (next_month(first) - first).days
        for day in (first + timedelta(days=number) for number in range(length)):
            wanted = requests / length * WEEKDAYS[day.weekday()] * random.uniform(0.86, 1.14)
            yield from self._day(random, day, round(wanted))

    def runaway(self, random: Random, first: date, requests: int) -> Iterator[UsageRecord]:
        """One client that asks for the state of its message without a pause, from the second Friday evening on."""
        friday = first + timedelta(days=7 + (4 - first.weekday()) % 7)
        start = datetime.combine(friday, time(17, 40, tzinfo=UTC))
        pause = timedelta(hours=63) / requests
        source = max(self.sources, key=lambda each: each.share)
        for number in range(requests):
            yield self._request(random, start + number * pause, source, POLLED)

    def _day(self, random: Random, day: date, requests: int) -> Iterator[UsageRecord]:
        start = datetime.combine(day, time(tzinfo=UTC))
        hours = random.choices(range(24), cum_weights=_HOURS_SUM, k=requests)
        endpoints = random.choices(ENDPOINTS, cum_weights=_SHARES, k=requests)
        for hour, endpoint in zip(hours, endpoints, strict=True):
            at = start + timedelta(hours=hour, microseconds=random.randrange(3_600_000_000))
            open_sources = [source for source in self.sources if source.since <= at < source.until]
            if self.founded < at < self.now and open_sources:
                shares = [source.share for source in open_sources]
                yield self._request(random, at, random.choices(open_sources, shares)[0], endpoint)

    def _request(
        self,
        random: Random,
        at: datetime,
        source: Source,
        endpoint: tuple[str, str, int, float, Sequence[tuple[int, int]]],
    ) -> UsageRecord:
        method, template, _, milliseconds, others = endpoint
        status = _status(random, others)
        return UsageRecord(
            id=_request_id(random, at),
            organization_id=self.organization_id,
            api_key_id=source.key_id,
            plan=self._plan_at(at),
            endpoint=template,
            method=method,
            status_code=status,
            duration_us=int(1000 * milliseconds * random.lognormvariate(0, 0.45)),
            is_billable=billable(status, reached=True) and not source.is_test,
            occurred_at=at,
        )

    def _plan_at(self, at: datetime) -> Plan:
        return next((plan for since, plan in reversed(self.plans) if since <= at), "free")


def _status(random: Random, others: Sequence[tuple[int, int]]) -> int:
    left = random.randrange(1000)
    for status, share in others:
        if left < share:
            return status
        left -= share
    return 200


def _request_id(random: Random, at: datetime) -> UUID:
    """A UUID of version 7 as a request made then would have had, from the seeded random."""
    bits = random.getrandbits(74)
    return UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | bits >> 62 << 64 | 2 << 62 | bits & ((1 << 62) - 1))
