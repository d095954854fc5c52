"""The headers and refusals that tell a key's holder where the limits stand; values of the reply that decided."""

from datetime import UTC, datetime
from typing import NamedTuple

from db.errors import TooMany
from db.key_cache import ResolvedKey


class Verdict(NamedTuple):
    """The answer of db/lua/admit.lua; `seconds` is Redis's clock, `month_used` -1 without a hard quota.

    `generation` names the count that a request was taken from, empty when none was.
    """

    kind: str
    epoch: str
    seconds: int
    minute_left: int
    minute_wait: int
    month_used: int
    month: str
    generation: str


def headers(key: ResolvedKey, verdict: Verdict) -> list[tuple[bytes, bytes]]:
    """X-RateLimit-* of the specification and RateLimit-* of the IETF draft."""
    left, wait, limit = verdict.minute_left, verdict.minute_wait, key.per_minute
    policy, state = f'"minute";q={limit};w=60', f'"minute";r={left};t={wait}'
    if verdict.month_used >= 0 and key.month_quota is not None:
        month_left = max(0, key.month_quota - verdict.month_used)
        policy += f', "month";q={key.month_quota}'
        state += f', "month";r={month_left};t={seconds_left_in_month(verdict.seconds)}'
    return [
        (b"x-ratelimit-limit", b"%d" % limit),
        (b"x-ratelimit-remaining", b"%d" % left),
        (b"x-ratelimit-reset", b"%d" % (verdict.seconds + wait)),
        (b"ratelimit-policy", policy.encode()),
        (b"ratelimit", state.encode()),
    ]


def refusal(key: ResolvedKey, verdict: Verdict) -> TooMany | None:
    """The 429 of a verdict, or None when the request may go on."""
    if verdict.kind == "rate":
        wait = verdict.minute_wait
        details = {"limit": key.per_minute, "window": "60s", "violated_policies": ["minute"]}
        return TooMany("RATE_LIMIT_EXCEEDED", f"Rate limit exceeded; try again in {wait} s", wait, details)
    if verdict.kind == "quota":
        wait = seconds_left_in_month(verdict.seconds)
        details = {"limit": key.month_quota, "window": "month", "violated_policies": ["month"]}
        return TooMany("QUOTA_EXCEEDED", "The month's included requests are used up", wait, details)
    return None


def seconds_left_in_month(seconds: int) -> int:
    """Seconds from a Unix time to the next month, UTC."""
    now = datetime.fromtimestamp(seconds, UTC)
    following = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
    return int(following.timestamp()) - seconds
