"""`mts suspend`, `resume`, `export`, `import` and `erase` as an operator runs them, against a running product."""

import asyncio
import getpass
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.programs import environment, mts
from tests.isolation.lives import Lively, live, send, traces
from tests.servers import TestServers, Urls
from tests.stack import Stack, stack

__all__ = ["stack"]

WHY = ("--reason", "TICKET-7 drill")


@pytest.fixture
async def acme(stack: Stack) -> Lively:
    """An organization in use."""
    return await live(stack, "Acme")


@pytest.fixture
def elsewhere(servers: TestServers, worker_name: str) -> Iterator[Urls]:
    """An empty installation."""
    with servers.database(f"life_elsewhere_{worker_name}") as name:
        yield servers.urls(name)


async def run(stack: Stack, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command as a role, beside the running product."""
    env = environment(
        DATABASE_URL=url, REDIS_URL=stack.settings.redis_url.get_secret_value(), SMTP_URL="smtp://127.0.0.1:1",
        JWT_SECRET="x" * 32,
    )  # fmt: skip
    return await asyncio.to_thread(mts, *arguments, env=env)


async def test_a_suspended_organization_is_refused_until_it_is_resumed(stack: Stack, acme: Lively) -> None:
    assert (await send(stack.visitor(), acme.key)).code == "OK"
    ended = await run(stack, stack.urls.worker, "suspend", str(acme.id), *WHY)
    assert (ended.returncode, ended.stdout) == (0, f"{acme.id} is suspended.\n"), ended.stderr
    async with stack.second_process() as http:
        for visitor in (stack.visitor(), stack.visitor(http)):
            refused = await send(visitor, acme.key)
            assert (refused.status, refused.code) == (403, "ORGANIZATION_SUSPENDED")
    for person in (acme.owner, acme.member):
        refused = await person.get("/auth/me")
        assert (refused.status, refused.code) == (403, "ORGANIZATION_SUSPENDED")
    again = await run(stack, stack.urls.worker, "suspend", str(acme.id), *WHY)
    assert again.stdout == f"{acme.id} is suspended, as it was.\n"
    assert (await run(stack, stack.urls.worker, "resume", str(acme.id), *WHY)).returncode == 0
    assert (await acme.owner.get("/auth/me")).status == 200
    assert (await send(stack.visitor(), acme.key)).code == "OK"
    events = (await acme.owner.get("/audit/events?limit=100&table=audit.accesses")).data["events"]
    acts = [event["after"] for event in reversed(events)]
    assert [(act["kind"], act["reason"]) for act in acts] == [("suspend", WHY[1]), ("resume", WHY[1])]
    assert all(act["operator"].startswith(getpass.getuser()) for act in acts)


async def test_an_organization_moves_and_is_erased_behind_itself(
    stack: Stack, acme: Lively, elsewhere: Urls, tmp_path: Path
) -> None:
    file = str(tmp_path / "acme.zip")
    written = await run(stack, stack.urls.exporter, "export", str(acme.id), "-o", file, *WHY)
    assert written.returncode == 0, written.stderr
    assert (await run(stack, stack.urls.exporter, "export", str(acme.id), "-o", file, *WHY)).returncode == 2
    brought = await run(stack, elsewhere.migrator, "import", file, *WHY)
    assert brought.returncode == 0, brought.stderr
    assert brought.stdout.splitlines()[-1].rsplit(" ", 1)[1] == written.stdout.splitlines()[-1].rsplit(" ", 1)[1]
    assert "is here already" in (await run(stack, elsewhere.migrator, "import", file, *WHY)).stderr
    kept = str(tmp_path / "invoices.json")
    erased = await _erase(stack, acme, "--confirm", "Acme", "--keep-invoices", kept)
    assert erased.returncode == 0, erased.stderr
    assert (await send(stack.visitor(), acme.key)).code == "INVALID_API_KEY"
    assert (await acme.owner.get("/auth/me")).status == 401
    assert traces(stack.urls, str(acme.id)) == []


async def _erase(stack: Stack, lively: Lively, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await run(stack, stack.urls.migrator, "erase", str(lively.id), *WHY, *arguments)


async def test_erasing_asks_for_the_name_and_for_the_invoices(stack: Stack, acme: Lively) -> None:
    rehearsed = await _erase(stack, acme, "--dry-run")
    assert rehearsed.returncode == 0, rehearsed.stderr
    assert "tenancy.users" in rehearsed.stdout
    assert "1 issued invoices among them.\nNothing was changed." in rehearsed.stdout
    unconfirmed = await _erase(stack, acme, "--confirm", "Acme Inc.", "--discard-invoices")
    assert (unconfirmed.returncode, "--confirm 'Acme'" in unconfirmed.stderr) == (2, True)
    undecided = await _erase(stack, acme, "--confirm", "Acme")
    assert (undecided.returncode, "--keep-invoices FILE or --discard-invoices" in undecided.stderr) == (2, True)
    assert (await acme.owner.get("/auth/me")).status == 200
    assert (await _erase(stack, acme, "--confirm", "Acme", "--discard-invoices")).returncode == 0
    assert (await acme.owner.get("/auth/me")).status == 401


@pytest.mark.parametrize("command", ["suspend", "resume", "export", "erase"])
async def test_what_is_no_organization_is_a_sentence(stack: Stack, command: str, tmp_path: Path) -> None:
    role = {"export": stack.urls.exporter, "erase": stack.urls.migrator}.get(command, stack.urls.worker)
    more = ("-o", str(tmp_path / "x")) if command == "export" else ()
    wrong = await run(stack, role, command, "' or true --", *WHY, *more)
    assert (wrong.returncode, wrong.stderr) == (2, "\"' or true --\" is no organization's id. Expected: a UUID.\n")
    unknown = await run(stack, role, command, str(uuid4()), *WHY, *more)
    assert (unknown.returncode, "There is no organization" in unknown.stderr) == (1, True), unknown.stderr
    assert "--reason" in (await run(stack, role, command, str(uuid4()), "--reason", " x ", *more)).stderr
