"""What closing a month costs for each organization as they grow in number, and reading as the raw records do.

Closing: two installations, the same records for each organization; the cost of one in the larger against the smaller,
four jobs at once as a worker has it. Reading: two organizations of one installation with the same keys and endpoints,
asked in turns over HTTP; p95 of the larger against the smaller. Records are rolled up as the hourly job leaves them.
Ends with 1 when a target is missed: closing within ×1.3, reading within ×1.5.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import redis

from api import tokens
from db import sessions
from db.errors import Unavailable
from db.pool import Database
from db.types import SYSTEM, OrganizationId
from jobs import logs
from jobs.billing import close_organization, close_until, last_month_over
from jobs.resources import Resources, open_resources
from settings import Settings
from tests.bench.held import watching
from tests.founding import Founded, found, new_key
from tests.servers import TestServers, Urls
from tests.stack import serving, settings_for
from tests.visitors import TurnableClock

MOST_CLOSING, MOST_READING, AT_ONCE, SMALL = 1.3, 1.5, 4, 10_000
ENDPOINTS = ("/billing/usage", "/dashboard/stats", "/dashboard/usage-graph", "/dashboard/api-keys")
ORGANIZATIONS = """
with made as (
    insert into tenancy.organizations (organization_id, name, email, plan, created_at, updated_at)
    select gen_random_uuid(), 'Acme', 'a@example.com', 'starter', %(since)s, %(since)s
    from generate_series(1, %(count)s)
    returning organization_id
), listed as (
    insert into identity.organization_directory (organization_id) select organization_id from made
), begun as (
    insert into billing.plan_segments (organization_id, position, starts_at, plan)
    select organization_id, 1, %(since)s, 'starter' from made
)
insert into tenancy.api_keys (organization_id, id, name, first4, last4, scopes, created_by)
select organization_id, gen_random_uuid(), 'k', 'aaaa', 'zzzz', '{}', gen_random_uuid() from made
"""
RECORDS = """
insert into usage.usage_records
    (organization_id, id, billed_month, api_key_id, endpoint, method, status_code, duration_us, plan, is_billable,
     occurred_at)
select k.organization_id, gen_random_uuid(), date_trunc('month', m.at, 'UTC')::date, k.id, '/v' || n %% 6, 'POST',
       200, 1, 'starter', true, m.at
from tenancy.api_keys k
cross join generate_series(1, %(each)s) n
cross join lateral (select %(since)s::timestamptz + (n * %(step)s + 0.5) * interval '1 second' as at) m
where k.organization_id = any (%(ids)s)
"""


@contextmanager
def superuser(urls: Urls) -> Iterator["psycopg.Connection"]:
    """A connection for planting: references are not checked, the roll-ups' and the trail's triggers fire."""
    with psycopg.connect(urls.superuser, autocommit=True) as conn:
        conn.execute("set session_replication_role = replica; set synchronous_commit = off; set timezone = 'UTC'")
        yield conn


def plant(conn: "psycopg.Connection", ids: list[UUID], each: int, since: datetime, until: datetime) -> None:
    """`each` records for every key of the organizations, spread evenly over a span of time."""
    step = ((until - since).total_seconds() - 1) / each
    batch = max(1, 400_000 // each)
    for begin in range(0, len(ids), batch):
        conn.execute(RECORDS, {"ids": ids[begin : begin + batch], "each": each, "since": since, "step": step})


def roll_up(conn: "psycopg.Connection", now: datetime) -> None:
    """As the hourly job leaves it."""
    conn.execute("select usage.seal_hours(%s)", [now])
    while (conn.execute("select usage.count_hours()").fetchone() or (False,))[0]:
        pass
    conn.execute("vacuum analyze")


async def closing(urls: Urls, settings: Settings, organizations: int, each: int) -> float:
    """Organizations a second when all of them close one month."""
    async with open_resources(settings) as resources:
        month = last_month_over(resources)
        since = datetime.combine(month, datetime.min.time(), UTC)
        until = (since + timedelta(days=32)).replace(day=1)
        with superuser(urls) as conn:
            conn.execute(ORGANIZATIONS, {"since": since, "count": organizations})
            ids = [row[0] for row in conn.execute("select organization_id from tenancy.organizations").fetchall()]
            plant(conn, ids, each, since, until)
            roll_up(conn, resources.clock.now())
        await close_until(resources, month)
        waiting = iter(ids)

        async def work() -> None:
            for organization_id in waiting:
                await _close(resources, OrganizationId(organization_id))

        begun = time.perf_counter()
        async with watching() as held:
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        rate = organizations / (time.perf_counter() - begun - held.seconds)
        if held.seconds:
            print(f"the measurement was held up for {held.seconds:.0f} s, which are not counted", flush=True)
        with superuser(urls) as conn:
            written = conn.execute("select count(*), sum(total_requests) from billing.billing_cycles").fetchone()
        if written != (organizations, organizations * each):
            raise RuntimeError(f"closed {written}, not {(organizations, organizations * each)}")
        return rate


async def _close(resources: Resources, organization_id: OrganizationId) -> None:
    """As a worker does: again, when the database was away for a moment."""
    while True:
        with suppress(Unavailable):
            await close_organization.run(resources, organization_id)
            return


async def reading(urls: Urls, redis_url: str, folder: Path, records: int, tries: int) -> dict[str, tuple[float, float]]:
    """Milliseconds (p95) of each endpoint for an organization with few records and for one with `records`."""
    clock = TurnableClock()
    settings = settings_for(urls.api, redis_url, 9, folder)
    async with (
        open_resources(settings_for(urls.worker, redis_url, 9, folder)) as worker,
        serving(settings, clock) as (http, _),
    ):
        hour = clock.now().replace(minute=0, second=0, microsecond=0)
        small, large = [await found(worker.database, "starter", hour - timedelta(days=40)) for _ in range(2)]
        for founded in (small, large):
            for _ in range(5):
                await new_key(worker.database, founded)
        with superuser(urls) as conn:
            for founded, number in ((small, SMALL), (large, records)):
                for part in range(0, number, 1_000_000):
                    each = min(1_000_000, number - part) // 5
                    plant(conn, [founded.organization_id], each, hour - timedelta(days=29), hour)
            roll_up(conn, clock.now())
        visitors = [await _token(worker.database, settings, founded, clock.now()) for founded in (small, large)]
        with redis.Redis.from_url(redis_url) as counters:
            return {path: await _p95(http, path, visitors, tries, counters) for path in ENDPOINTS}


async def _token(database: Database, settings: Settings, founded: Founded, now: datetime) -> str:
    async with database.tenant(founded.organization_id, SYSTEM) as tenant:
        session_id = await sessions.open_session(
            tenant, account_id=founded.account_id, user_id=founded.user_id, user_agent=None, address=None, now=now,
            expires_at=now + timedelta(days=1),
        )  # fmt: skip
    token, _ = tokens.issue(
        settings, account_id=founded.account_id, user_id=founded.user_id, organization_id=founded.organization_id,
        session_id=session_id, now=now,
    )  # fmt: skip
    return token


async def _p95(
    http: httpx.AsyncClient, path: str, visitors: list[str], tries: int, counters: "redis.Redis"
) -> tuple[float, float]:
    taken: list[list[float]] = [[], []]
    for number in range(tries + 10):
        if number % 20 == 0:
            counters.flushdb()  # nobody asks this often; what is limited here is not what is measured
        for spent, token in zip(taken, visitors, strict=True):
            begun = time.perf_counter()
            answer = await http.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
            answer.raise_for_status()
            if number >= 10:
                spent.append(1000 * (time.perf_counter() - begun))
    few, many = (statistics.quantiles(spent, n=20)[18] for spent in taken)
    return few, many


def measure(organizations: int, each: int, records: int, tries: int) -> bool:
    """Measure and print; whether the targets are met."""
    logs.configure("error")
    servers = TestServers.begin()
    try:
        redis_url = servers.redis_url("main")
        with tempfile.TemporaryDirectory() as folder:
            rates: list[float] = []
            for count in (organizations // 10, organizations) if organizations else ():
                with servers.database(f"closing_{count}") as name:
                    urls = servers.urls(name)
                    settings = settings_for(urls.worker, redis_url, 9, Path(folder))
                    rates.append(asyncio.run(closing(urls, settings, count, each)))
                    print(
                        f"closing {count:>6} organizations, {count * each:>9} records: {rates[-1]:7.1f} a second",
                        flush=True,
                    )
            growth = rates[0] / rates[1] if rates else 0.0
            if rates:
                print(
                    f"cost of one organization, larger against smaller: ×{growth:.2f} (at most ×{MOST_CLOSING})",
                    flush=True,
                )
            with servers.database("reading") as name:
                found_ = asyncio.run(reading(servers.urls(name), redis_url, Path(folder), records, tries))
        print(f"reading, p95 in ms: {SMALL} records, {records} records, ratio (at most ×{MOST_READING})")
        for path, (few, many) in found_.items():
            print(f"  {path:<24}{few:8.2f}{many:8.2f}   ×{many / few:.2f}")
        return growth <= MOST_CLOSING and all(many / few <= MOST_READING for few, many in found_.values())
    finally:
        servers.end()


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="mts bench billing", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--organizations", type=int, default=10_000, help="of the larger installation; 0 for none (default: 10000)"
    )
    parser.add_argument("--each", type=int, default=500, help="records of each organization (default: 500)")
    parser.add_argument(
        "--records", type=int, default=10_000_000, help="of the larger organization read (default: 10000000)"
    )
    parser.add_argument("--tries", type=int, default=200, help="requests to each endpoint (default: 200)")
    args = parser.parse_args()
    return 0 if measure(args.organizations, args.each, args.records, args.tries) else 1


if __name__ == "__main__":
    raise SystemExit(main())
