"""Fill a running `mts dev` with two organizations that have a past: people, keys, usage, invoices, messages.

Blue Heron Logistics moved from starter to pro in the middle of a month; Copper Kettle Foods is on starter and often
over the included requests. Six past months and this one, the same every time, with an invoice in every state.

Safe to repeat: what is there stays as it is, and the log-ins are printed again. A run that was killed is finished by
the next one: an organization comes into being with its whole past in one transaction, so there is all of it or nothing;
the payments and messages of today are made where they are missing. Only for development: it refuses any other
installation, and payment, SMS and mail providers that are not the sandboxes of `mts dev`.
"""

import argparse
import asyncio
import contextlib
import os
import time

from cli.demo_calendar import Calendar
from cli.demo_cast import STORIES, Story
from cli.demo_founding import Founded, found
from cli.demo_life import Today, live
from cli.demo_table import print_table
from cli.environment import data_dir, resolve, running_instance
from cli.errors import CommandError
from cli.instance import Instance
from cli.terminal import step
from cli.tour_http import Guide
from db import accounts, billing, organizations
from db.errors import Conflict, Unavailable
from db.types import SYSTEM
from jobs import logs
from jobs.billing import close_until, last_month_over
from jobs.resources import Resources, open_resources
from settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """`mts demo` needs no arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run(args: argparse.Namespace) -> int:
    """Fill what is missing and print the table. Raises CommandError with a sentence where it may not or cannot."""
    migrator = resolve("app_migrator")
    instance = _trial_ground(migrator)
    worker = resolve("app_worker")
    # A parked invoice is an alarm elsewhere; here it is what was wanted.
    logs.configure("critical")
    try:
        asyncio.run(_fill(migrator, worker, instance))
    except Unavailable as error:
        raise CommandError(f"A part of `mts dev` does not answer: {error.__cause__ or error}. Run it again.") from error
    return 0


def _trial_ground(settings: Settings) -> Instance:
    """The running `mts dev`, when nothing that is done to it can be felt outside."""
    if settings.environment != "dev":
        raise CommandError(
            "`mts demo` makes up customers: it runs on a development installation only (ENVIRONMENT=dev)."
        )
    instance = running_instance()
    if instance is None:
        raise CommandError("`mts demo` needs a running `mts dev`. Start it in another terminal.")
    sandbox = instance.sandbox
    catcher = (data_dir(os.environ) / "sandbox" / "smtp.port").read_text().strip()
    outside = {
        "SMTP_URL": settings.smtp_url.get_secret_value() != f"smtp://127.0.0.1:{catcher}",
        "STRIPE_SECRET_KEY": settings.stripe_api_base != sandbox["stripe"],
        "PAYSTACK_SECRET_KEY": settings.paystack_api_base != sandbox["paystack"],
        "TWILIO_ACCOUNT_SID": settings.twilio_api_base != sandbox["twilio"],
    }
    if named := [name for name, is_outside in outside.items() if is_outside]:
        raise CommandError(
            f"`mts demo` sends and pays through the sandboxes of `mts dev` only. Unset {', '.join(named)}."
        )
    return instance


async def _fill(migrator_settings: Settings, worker_settings: Settings, instance: Instance) -> None:
    begin = time.monotonic()
    guide = Guide(instance.base_url, instance.sandbox["index"].rstrip("/"))
    with contextlib.closing(guide):
        async with open_resources(worker_settings) as worker:
            await close_until(worker, last_month_over(worker))
            founded, news = {}, 0
            for story in STORIES:
                known = await _known(worker, story)
                if known is None:
                    known = await _found(migrator_settings, worker, story)
                    news += 1
                news += await live(Today(worker, guide, story, known))
                founded[story.name] = known
            print(f"Done in {time.monotonic() - begin:.0f} s." if news else "The demo's data are here already.")
            await print_table(worker, instance, founded)


async def _known(worker: Resources, story: Story) -> Founded | None:
    """The organization of an earlier run, by its owner's e-mail. Raises CommandError when that is somebody else's."""
    async with worker.database.resolver(read_only=True) as conn:
        account = await accounts.find(conn, story.owner.email)
        seats = await accounts.list_seats(conn, account.id) if account else []
    for seat in seats:
        async with worker.database.tenant(seat.organization_id, SYSTEM, read_only=True) as tenant:
            if (await organizations.get(tenant)).name == story.name:
                return Founded(seat.organization_id, seat.user_id, {})
    if account is not None:
        raise CommandError(f"{story.owner.email} has an account, but not in {story.name}: `mts demo` leaves it alone.")
    return None


async def _found(settings: Settings, worker: Resources, story: Story) -> Founded:
    async with worker.database.resolver(read_only=True) as conn:
        last = await billing.last_closed_month(conn)
    if last is None:
        raise CommandError("No month has been closed.")
    with step(story.name) as told:
        async with open_resources(settings) as migrator:
            try:
                founded = await found(migrator, Calendar.ending(story, last, worker.clock.now()))
            except Conflict as error:
                raise CommandError(f"{story.name} cannot be made: {error}. Is another `mts demo` at work?") from error
        told.note = f"{len(story.people)} people, {len(story.keys)} keys, {len(story.months)} months"
    return founded
