"""What one request takes: statements and round trips as the stores count them, processor time as the kernel does."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import redis

from tests.bench.ground import Run, kinds
from tests.bench.load import Asked, cpu_seconds, highest_rate, latencies
from tests.bench.planting import Planted
from tests.metered.served import Served

BARE = "bare"


@dataclass(frozen=True)
class Cost:
    """What one request of a kind takes, and how its latency spreads at half of the highest rate."""

    statements: float
    trips: float
    python_us: float
    postgres_us: float
    redis_us: float
    p50: float
    p99: float


def costs(run: Run, planted: Planted, rates: dict[str, tuple[float, float]], seconds: float) -> dict[str, Cost]:
    """Counted and measured for each kind by itself."""
    with run.ours() as ours, run.other("bare") as bare:
        asked = {name: (ours, each) for name, each in kinds(planted, ours.port).items()}
        asked[BARE] = (bare, Asked("GET", "/x", {}))
        for server, each in asked.values():
            highest_rate(server.port, each, 2)  # connections opened, keys known, sessions noted as seen
        found = {name: _processor(run, server, each, seconds) for name, (server, each) in asked.items()}
        spread = {
            name: latencies(server.port, each, rates[name][1] / 2, 2 * seconds)
            for name, (server, each) in asked.items()
            if not each.random_key
        }
    counted = _counted(run, planted) | {BARE: (0.0, 0.0)}
    return {name: Cost(*counted[name], *found[name], *spread.get(name, (0.0, 0.0))) for name in found}


def _processor(run: Run, server: Served, asked: Asked, seconds: float) -> tuple[float, float, float]:
    pids = (server.process.pid, run.stores.postgres.pid, run.stores.valkey.pid)
    before = [cpu_seconds(pid) for pid in pids]
    requests = highest_rate(server.port, asked, seconds) * max(1, round(seconds))
    after = [cpu_seconds(pid) for pid in pids]
    python, postgres, store = ((b - a) / requests * 1e6 for a, b in zip(before, after, strict=True))
    return python, postgres, store


def _counted(run: Run, planted: Planted, requests: int = 200) -> dict[str, tuple[float, float]]:
    """SQL statements and Redis round trips of requests that come one after the other, as the stores count them."""
    found: dict[str, tuple[float, float]] = {}
    with psycopg.connect(run.urls.superuser, autocommit=True) as conn:
        conn.execute("alter database bench set log_statement = 'all'")
        log = Path(run.stores.folder / "postgres" / "log")
        store = redis.Redis.from_url(run.redis_url)
        with run.ours() as server, httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
            for name, asked in kinds(planted, server.port).items():
                _ask(client, [asked] * 10)
                lines, reads = _statements(log), store.info("stats")["total_reads_processed"]
                _ask(client, [asked] * requests)
                trips = store.info("stats")["total_reads_processed"] - reads - 1
                found[name] = ((_statements(log) - lines) / requests, trips / requests)
        conn.execute("alter database bench reset log_statement")
    return found


def _ask(client: httpx.Client, all_: list[Asked]) -> None:
    for number, asked in enumerate(all_):
        headers = dict(asked.headers)
        if asked.tokens:
            headers["Authorization"] = asked.tokens[number % 10]
        if asked.random_key:
            headers["X-API-Key"] = "sk_live_" + os.urandom(32).hex()
        if asked.body:
            headers["Content-Type"] = "application/json"
        client.request(asked.method, asked.path, content=asked.body or None, headers=headers)


def _statements(log: Path) -> int:
    return len(re.findall(r"LOG:  (?:execute|statement)", log.read_text(errors="replace")))
