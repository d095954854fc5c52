"""Close the books of a month (and of those before it) for every organization now, and print what came of it.

The month must be over; --unfinished closes the present one for trying it out: what is used from then on is billed in
the next. Months that have an invoice are skipped, so it is harmless to repeat. Invoices are mailed by the worker.
"""

import argparse
import asyncio
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date

from cli.environment import resolve
from cli.errors import CommandError
from db import billing, invoices, maintenance
from db.billing import Fate, next_month
from db.errors import Unavailable
from db.types import Money, OrganizationId
from jobs import logs
from jobs.billing import WORKER, close_one, close_until
from jobs.resources import Resources, open_resources
from settings import Settings

PROGRESS_EVERY = 250


@dataclass
class Report:
    """What was done: invoices by status, organizations that had nothing missing, and those that failed and why."""

    written: Counter[str] = field(default_factory=Counter)
    total_minor: int = 0
    skipped: int = 0
    parked: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def organizations(self) -> int:
        """How many have been looked at, failed ones included."""
        return self.skipped + sum(self.written.values()) + len(self.failed)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the month and the two switches."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("month", help="the month to close, YYYY-MM")
    parser.add_argument("--unfinished", action="store_true", help="close it although it is not over")
    parser.add_argument("--dry-run", action="store_true", help="change nothing, print what would be billed")


def run(args: argparse.Namespace) -> int:
    """Close the month as app_worker; 1 when an organization failed."""
    month = _month(args.month)
    settings = resolve("app_worker")
    logs.configure("error")
    try:
        return asyncio.run(_run(settings, month, args.unfinished, args.dry_run))
    except Unavailable as error:
        raise CommandError(f"The database does not answer: {error.__cause__ or error}") from error


def _month(text: str) -> date:
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text) or text.startswith("0000"):
        raise CommandError(f"{text!r} is no month. Expected: YYYY-MM, such as 2026-10.", 2)
    return date.fromisoformat(f"{text}-01")


async def _run(settings: Settings, month: date, unfinished: bool, dry_run: bool) -> int:
    async with open_resources(settings) as resources:
        _refuse_open_month(resources, month, unfinished)
        if dry_run:
            return await _show(resources, month)
        closed = await close_until(resources, month)
        print(f"{month:%Y-%m}: {'closed now' if closed else 'was closed before'}", flush=True)
        return _print(await _write(resources))


def _refuse_open_month(resources: Resources, month: date, unfinished: bool) -> None:
    now = resources.clock.now().astimezone(UTC)
    if month > now.date():
        raise CommandError(f"{month:%Y-%m} has not begun.", 2)
    if now.date() < next_month(month) and not unfinished:
        raise CommandError(f"{month:%Y-%m} is not over yet. To try it out all the same: --unfinished.", 2)


async def _write(resources: Resources) -> Report:
    report = Report()
    async for organization_id in maintenance.organizations(resources.database):
        try:
            await _write_missing(resources, organization_id, report)
        except Exception as error:  # noqa: BLE001 - one organization's trouble is reported and does not stop the rest
            report.failed.append(f"{organization_id}  {type(error).__name__}: {error}")
        if report.organizations % PROGRESS_EVERY == 0:
            print(f"  {report.organizations} organizations …", file=sys.stderr, flush=True)
    return report


async def _write_missing(resources: Resources, organization_id: OrganizationId, report: Report) -> None:
    is_anything_missing = False
    while True:
        async with resources.database.tenant(organization_id, WORKER) as tenant:
            missing = await billing.missing_months(tenant)
            cycle = await close_one(resources, tenant, missing[0]) if missing else None
        if not missing:
            report.skipped += not is_anything_missing
            return
        is_anything_missing = True
        if cycle is not None:
            report.written[cycle.status] += 1
            report.total_minor += cycle.total_amount_minor if cycle.status != "parked" else 0
            if cycle.status == "parked":
                report.parked.append(f"{organization_id}  {cycle.month:%Y-%m}  {cycle.total}  {cycle.remark}")


def _print(report: Report) -> int:
    written = sum(report.written.values())
    print(f"invoices written: {written}, {Money(report.total_minor)} in all")
    for status, count in sorted(report.written.items()):
        print(f"  {status}: {count}")
    print(f"skipped, nothing missing: {report.skipped}")
    for title, lines in (("parked", report.parked), ("failed", report.failed)):
        if lines:
            print(f"{title}: {len(lines)}", *lines, sep="\n  ")
    return 1 if report.failed else 0


async def _show(resources: Resources, month: date) -> int:
    """What closing would make of everybody's month, by the functions that would write it; nothing is written."""
    fates, total_minor, failed = Counter[str](), 0, list[str]()
    async for organization_id in maintenance.organizations(resources.database):
        try:
            fate = await _fate(resources, organization_id, month)
        except Exception as error:  # noqa: BLE001 - as when closing: one organization's trouble does not stop the rest
            failed.append(f"{organization_id}  {type(error).__name__}: {error}")
            continue
        if fate is not None:
            fates[fate.status] += 1
            total_minor += fate.total_minor if fate.status == "pending" else 0
            print(f"  {Money(fate.total_minor)!s:>18}  {organization_id}  {_in_words(fate)}")
    count = sum(fates.values())
    invoices_of = "invoice" if count == 1 else "invoices"
    print(f"{month:%Y-%m} would make {count} {invoices_of}, {Money(total_minor)} to pay. Nothing was changed.")
    for status, number in sorted(fates.items()):
        print(f"  {status}: {number}")
    if failed:
        print(f"failed: {len(failed)}", *failed, sep="\n  ")
    return 1 if failed else 0


async def _fate(resources: Resources, organization_id: OrganizationId, month: date) -> Fate | None:
    async with resources.database.tenant(organization_id, WORKER, read_only=True) as tenant:
        return await billing.fate(tenant, month) if await invoices.is_missing(tenant, month) else None


def _in_words(fate: Fate) -> str:
    return f"{fate.status}: {fate.reason}" if fate.reason else fate.status
