"""Look into the queue: list jobs, show one with its history, retry what failed, cancel, or watch the queues work.

Works as app_worker: DATABASE_URL, or the live `mts dev`. Jobs that succeed are deleted as they end; what failed for
good stays for a month. Of a job's arguments only ids are shown.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cli.environment import resolve
from cli.errors import CommandError
from cli.tables import table
from db import queue
from db.errors import DomainError
from db.pool import Database
from db.types import OrganizationId

STATUSES = ("todo", "doing", "failed", "cancelled", "aborted")
QUEUES = ("mail", "messages", "billing", "maintenance")
FIGURES = ("jobs_waiting", "jobs_running", "jobs_scheduled", "jobs_failed", "jobs_oldest_seconds")

Action = Callable[[Database, argparse.Namespace], Awaitable[None]]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare list, show, retry, cancel and watch."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _configure_list(actions.add_parser("list", help="jobs, the newest first"))
    actions.add_parser("show", help="one job with its history and errors").add_argument("id", type=int)
    again = actions.add_parser("retry", help="let failed jobs wait again, with all their tries")
    which = again.add_mutually_exclusive_group(required=True)
    which.add_argument("id", type=int, nargs="?")
    which.add_argument("--all-failed", action="store_true", help="every failed job")
    actions.add_parser("cancel", help="keep a job from running, or stop its run").add_argument("id", type=int)
    watch = actions.add_parser("watch", help="the queues, again and again until Ctrl-C")
    watch.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="pause between two looks (2)")
    watch.add_argument("--times", type=int, default=0, metavar="N", help="so many looks; 0 for no end (0)")


def run(args: argparse.Namespace) -> int:
    """Do one action. Raises CommandError with a sentence when it cannot be done."""
    actions: dict[str, Action] = {"list": _list, "show": _show, "retry": _retry, "cancel": _cancel, "watch": _watch}
    try:
        asyncio.run(_run(actions[args.action], args))
    except DomainError as error:
        raise CommandError(f"{error.message}.") from None
    return 0


async def _run(action: Action, args: argparse.Namespace) -> None:
    settings = resolve("app_worker")
    url, cache = settings.database_url.get_secret_value(), settings.database_statement_cache
    database = await Database.open(url, 2, "mts jobs", statement_cache_size=cache)
    try:
        await action(database, args)
    finally:
        await database.close()


def _configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--failed", action="store_const", dest="status", const="failed", help="as --status failed")
    parser.add_argument("--status", choices=STATUSES, dest="status")
    parser.add_argument("--queue", choices=QUEUES)
    parser.add_argument("--organization", type=UUID, metavar="ID")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many (50)")


async def _list(database: Database, args: argparse.Namespace) -> None:
    organization_id = OrganizationId(args.organization) if args.organization else None
    async with database.resolver(read_only=True) as conn:
        found = await queue.jobs(
            conn, status=args.status, queue=args.queue, organization_id=organization_id, limit=args.limit
        )
    if not found:
        print("No jobs.")
        return
    rows = [
        (str(job.id), job.status, job.queue, job.task, str(job.attempts), _age(job.deferred_at), _due(job), _ids(job))
        for job in found
    ]
    print(table(("ID", "STATUS", "QUEUE", "TASK", "TRIES", "AGE", "DUE IN", "FOR"), rows))


async def _show(database: Database, args: argparse.Namespace) -> None:
    async with database.resolver(read_only=True) as conn:
        job = await queue.job(conn, args.id)
        events, errors = await queue.events(conn, args.id), await queue.errors(conn, args.id)
    print(f"Job {job.id}: {job.task} ({job.queue}, priority {job.priority}) is {job.status} after {job.attempts} tries")
    print(f"For {_ids(job) or 'nobody in particular'}")
    print("\n" + table(("AT", "EVENT"), [(_moment(event.at), event.type) for event in events]))
    if errors:
        print("\n" + table(("TRY", "AT", "ERROR"), [(str(e.attempt), _moment(e.at), e.error) for e in errors]))


async def _retry(database: Database, args: argparse.Namespace) -> None:
    if not args.all_failed:
        await _retry_one(database, args.id)
        print(f"Job {args.id} waits again.")
        return
    async with database.resolver(read_only=True) as conn:
        failed = await queue.failed(conn)
    waiting = 0
    for job_id in failed:
        try:
            await _retry_one(database, job_id)
            waiting += 1
        except DomainError as error:
            print(f"{error.message}.", file=sys.stderr)
    print(f"{waiting} of {len(failed)} failed jobs wait again.")


async def _retry_one(database: Database, job_id: int) -> None:
    async with database.resolver() as conn:
        await queue.retry(conn, job_id)


async def _cancel(database: Database, args: argparse.Namespace) -> None:
    async with database.resolver() as conn:
        await queue.cancel(conn, args.id)
        job = await queue.job(conn, args.id)
    print(f"Job {job.id} is cancelled." if job.status == "cancelled" else f"Job {job.id} runs and is told to stop.")


async def _watch(database: Database, args: argparse.Namespace) -> None:
    looks = 0
    while True:
        async with database.resolver(read_only=True) as conn:
            figures = await queue.figures(conn)
        if sys.stdout.isatty():
            print("\x1b[2J\x1b[H", end="")
        print(f"{_moment(datetime.now(UTC))}\n{_figures(figures)}", flush=True)
        looks += 1
        if looks == args.times:
            return
        await asyncio.sleep(max(0.1, args.every))


def _figures(figures: Iterable[queue.Figure]) -> str:
    values = {(figure.figure, figure.label): figure.value for figure in figures}
    rows = [(name, *(f"{values.get((figure, name), 0):.0f}" for figure in FIGURES)) for name in QUEUES]
    rest = [f"{figure.replace('_', ' ')}: {value:.0f}" for (figure, label), value in values.items() if not label]
    head = ("QUEUE", "WAITING", "RUNNING", "LATER", "FAILED", "OLDEST s")
    return "\n".join([table(head, rows), *rest])


def _ids(job: queue.QueuedJob) -> str:
    """The ids among a job's arguments; whatever else it holds is nobody's to read here."""
    return " ".join(f"{name.removesuffix('_id')}={value}" for name, value in job.arguments.items() if _is_id(value))


def _is_id(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value
    except ValueError:
        return False


def _due(job: queue.QueuedJob) -> str:
    if job.status != "todo" or job.scheduled_at is None:
        return ""
    return _span(job.scheduled_at.timestamp() - time.time())


def _age(since: datetime | None) -> str:
    return _span(time.time() - since.timestamp()) if since else ""


def _span(seconds: float) -> str:
    """`0 s`, `59 s`, `12 min`, `3 h`, `5 d`."""
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
