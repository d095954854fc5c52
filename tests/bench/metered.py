"""What a metered request costs: its rate as a ratio to a bare Starlette route under the same server, in the same run.

Rounds are interleaved and short, the ratios are medians. Statements and round trips are counted by the stores
themselves, processor time by the kernel. `--large` adds a hundred thousand organizations with a million keys.

Where the time goes, on two cores: with one worker a refused request takes 90 µs of Python, 18 of Postgres (its part
of a group of records) and 12 of Redis; the bare route takes 51. Nothing stands out in a profile: a third is the event
loop, a fifth system calls (of `/auth/me` over a third), no function of ours has 3 %. To show a message adds a
statement: 80 µs of Postgres and as much of Python. To send one takes 193 of Postgres: 80 for the row and its four
index entries, 20 to tell the workers of it, 20 for the context, the rest for the record and for being asked.

With two workers the load generator, Postgres and Redis share both cores with them. They are full then, and a
microsecond counts wherever it is spent. `/auth/me` misses its target there: 0.10 to 0.12, and 0.11 to 0.13 with half as
many connections. It has a statement and a round trip to Redis of its own, which nobody shares: 161 µs of Postgres, half
of them for the session with its account. What would move it: a third core for the load generator; pools of four instead
of eight (up to a tenth); or the session in memory, which must end on every process at once. A function of fewer tables
brought 5 % of that, sockets in the file system nothing.
"""

import argparse
import asyncio
import statistics

from settings import Settings
from tests.bench.costs import BARE, Cost, costs
from tests.bench.ground import SEND, Run, kinds, started
from tests.bench.load import Asked, highest_rate, resident_mib
from tests.bench.planting import Large, Planted, plant, plant_many

JOINED = "bare, one write"  # the yardstick behind our own protocol class, which writes an answer at once
TARGETS = {"send": 0.08, "show": 0.12, "refused": 0.35, "unknown": 0.35, "me": 0.12}


def ratios(run: Run, planted: Planted, rounds: int, seconds: float) -> dict[str, tuple[float, float]]:
    """For each kind the median of its ratios to the bare route, and of its rates."""
    found: dict[str, list[tuple[float, float]]] = {}
    with (
        run.ours() as ours, run.other("bare") as bare, run.other("joined") as joined,
        run.other("unrecorded") as unrecorded,
    ):  # fmt: skip
        asked = kinds(planted, ours.port)
        plan = [(name, ours.port, each) for name, each in asked.items()]
        plan += [("show, not recorded", unrecorded.port, asked["show"]), (JOINED, joined.port, Asked("GET", "/x", {}))]
        for _, port, each in plan:
            highest_rate(port, each, 1)
        for _ in range(rounds):
            yardstick = {m: highest_rate(bare.port, Asked(m, "/x", {}, SEND if m == "POST" else ""), seconds)
                         for m in ("GET", "POST")}  # fmt: skip
            found.setdefault(BARE, []).append((1.0, yardstick["GET"]))
            for name, port, each in plan:
                rate = highest_rate(port, each, seconds)
                found.setdefault(name, []).append((rate / yardstick[each.method], rate))
    return {
        name: (statistics.median(ratio for ratio, _ in all_), statistics.median(rate for _, rate in all_))
        for name, all_ in found.items()
    }


def growth(run: Run, planted: Planted, requests: int) -> list[float]:
    """Resident memory of the process in MiB after each fifth of so many requests."""
    found = []
    with run.ours() as server:
        asked = kinds(planted, server.port)["show"]
        rate = highest_rate(server.port, asked, 1)
        for _ in range(5):
            highest_rate(server.port, asked, max(1.0, requests / rate / 5))
            found.append(resident_mib(server.process.pid))
    return found


def with_many(run: Run, planted: Planted, rounds: int, seconds: float) -> float:
    """Rate with a hundred thousand organizations and a million keys of which many are used, against ten and ten."""
    large: Large = plant_many(run.urls, 100_000, 1_000_000)
    few, many = [], []
    with run.ours() as server:
        path = kinds(planted, server.port)["show"].path
        of = {name: Asked("GET", path, {}, tokens=tuple(f"Bearer {key}" for key in keys))
              for name, keys in (("few", large.few), ("many", large.many))}  # fmt: skip
        for each in of.values():
            highest_rate(server.port, each, 8)  # every key once and more
        for _ in range(rounds):
            few.append(highest_rate(server.port, of["few"], seconds))
            many.append(highest_rate(server.port, of["many"], seconds))
    return statistics.median(m / f for m, f in zip(many, few, strict=True))


def main() -> int:
    """Measure and print; returns 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="mts bench metered", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round's part (default: 2)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="server processes (default: 1 2)")
    parser.add_argument("--large", action="store_true", help="also with 100,000 organizations and a million keys")
    parser.add_argument("--requests", type=int, default=0, help="also memory after so many requests")
    args = parser.parse_args()
    missed = False
    for workers in args.workers:
        with started(workers) as run:
            planted = asyncio.run(plant(Settings.from_env(run.settings), run.urls))
            measured = ratios(run, planted, args.rounds, args.seconds)
            _print(workers, measured, costs(run, planted, measured, args.seconds))
            missed |= any(measured[name][0] < least for name, least in TARGETS.items())
            if workers == args.workers[0]:
                _print_extras(run, planted, args)
    return int(missed)


def _print(workers: int, measured: dict[str, tuple[float, float]], all_: dict[str, Cost]) -> None:
    print(f"\n{workers} worker{'s' * (workers > 1)}: ratio to bare Starlette, and what one request takes")
    print(f"{'':20}{'ratio':>7}{'target':>8}{'req/s':>9}{'SQL':>6}{'Redis':>7}{'p50 ms':>8}{'p99 ms':>8}{'p99/50':>8}"
          f"{'Python µs':>11}{'Postgres':>9}{'Redis':>7}")  # fmt: skip
    for name, (ratio, rate) in measured.items():
        target = f"≥{TARGETS[name]}" if name in TARGETS else ""
        line = f"{name:20}{ratio:7.3f}{target:>8}{rate:9.0f}"
        if name in all_:
            cost = all_[name]
            spread = f"{cost.p50:8.2f}{cost.p99:8.2f}{cost.p99 / cost.p50:8.1f}" if cost.p50 else " " * 24
            line += f"{cost.statements:6.2f}{cost.trips:7.2f}{spread}"
            line += f"{cost.python_us:11.0f}{cost.postgres_us:9.0f}{cost.redis_us:7.0f}"
        print(line)
    recording = measured["show"][1] / measured["show, not recorded"][1]
    print(f"recording usage: {recording:.3f} of the rate without (target ≥ 0.85)", flush=True)


def _print_extras(run: Run, planted: Planted, args: argparse.Namespace) -> None:
    if args.requests:
        sizes = growth(run, planted, args.requests)
        print(f"memory over {args.requests} requests, MiB: {', '.join(f'{size:.1f}' for size in sizes)}", flush=True)
    if args.large:
        print(f"100,000 organizations, a million keys: {with_many(run, planted, args.rounds, args.seconds):.3f} of few")


if __name__ == "__main__":
    raise SystemExit(main())
