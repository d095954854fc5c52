"""What measurements use to load a server: wrk for the highest rate, raw sockets for a steady one."""

import asyncio
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tests.metered.lines import Line
from tests.metered.served import Load, request

CONNECTIONS = 64  # with 32, two workers left some of two cores idle, by reckoning a sixteenth
SETTLING = 0.5  # seconds


@dataclass(frozen=True)
class Asked:
    """One kind of request; `tokens` are Authorization headers in turn, `random_key` makes a new key each time."""

    method: str
    path: str
    headers: dict[str, str]
    body: str = ""
    tokens: tuple[str, ...] = ()
    random_key: bool = False

    def raw(self) -> list[bytes]:
        """As they travel, those that take turns."""
        heads = [{"Authorization": token} for token in self.tokens] or [{}]
        return [request(self.method, self.path, {**self.headers, **head}, self.body.encode()) for head in heads]

    def script(self) -> str:
        """The same for wrk."""
        lines = [f'wrk.method = "{self.method}"', f"wrk.body = [[{self.body}]]" if self.body else ""]
        lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in self.headers.items()]
        if self.body:
            lines.append('wrk.headers["Content-Type"] = "application/json"')
        if self.tokens:
            quoted = ", ".join(f'"{token}"' for token in self.tokens)
            lines.append(f"local tokens, ready, turn = {{{quoted}}}, {{}}, 0")
            lines.append(
                "init = function() for n, token in ipairs(tokens) do"
                " wrk.headers['Authorization'] = token; ready[n] = wrk.format() end end"
            )
            lines.append("request = function() turn = turn % #ready + 1; return ready[turn] end")
        if self.random_key:
            lines.append(
                "math.randomseed(os.time()); request = function() local k = 'sk_live_'; for n = 1, 8 do"
                " k = k .. string.format('%08x', math.random(0, 2147483647)) end;"
                " wrk.headers['X-API-Key'] = k; return wrk.format() end"
            )
        return "\n".join(lines)


def highest_rate(port: int, asked: Asked, seconds: float) -> float:
    """Answers a second with every connection always busy, of whatever status."""
    if shutil.which("wrk") is None:
        return asyncio.run(_without_wrk(port, asked, seconds))
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(asked.script())
        script.flush()
        command = [
            "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", script.name,
            f"http://127.0.0.1:{port}{asked.path}",
        ]  # fmt: skip
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert found, said
    return float(found[1])


async def _without_wrk(port: int, asked: Asked, seconds: float) -> float:
    load = Load(port, asked.raw()[0], CONNECTIONS)
    running = asyncio.create_task(load.run())
    await asyncio.sleep(seconds)
    load.stopping = True
    await running
    return load.answered / seconds


def latencies(port: int, asked: Asked, rate: float, seconds: float) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds at a steady rate; waiting for one's turn counts."""
    taken = uvloop.run(_paced(port, asked.raw(), rate, seconds))
    cuts = statistics.quantiles(taken, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


async def _paced(port: int, requests: list[bytes], rate: float, seconds: float) -> list[float]:
    """What is due in the first moments does not count: everything starts at once then."""
    lines = [await Line.to(port) for _ in range(CONNECTIONS)]
    taken: list[float] = []
    begin = time.perf_counter()
    turns = iter(range(int(rate * (SETTLING + seconds))))

    async def one(line: Line) -> None:
        for turn in turns:
            due = begin + turn / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await line.ask(requests[turn % len(requests)])
            if due - begin > SETTLING:
                taken.append(time.perf_counter() - due)
        line.close()

    await asyncio.gather(*map(one, lines))
    return taken


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and all of its children so far."""
    total = 0.0
    waiting = [pid]
    while waiting:
        each = waiting.pop()
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            waiting += map(int, Path(f"/proc/{each}/task/{each}/children").read_text().split())
        except FileNotFoundError:
            continue
        total += (int(fields[11]) + int(fields[12])) / 100
    return total


def resident_mib(pid: int) -> float:
    """Memory of the largest of a process and its children, in MiB."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = []
    for each in (pid, *map(int, children)):
        match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{each}/status").read_text())
        found.append(int(match[1]) / 1024 if match else 0.0)
    return max(found)
