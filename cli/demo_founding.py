"""Brings an organization of `mts demo` into being with its whole past, in one transaction: all of it, or nothing.

It works as app_migrator, because months that are closed for the installation take no records by any other door. Until
the commit nobody sees the organization, so no worker can invoice a month that is not filled yet.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from random import Random

from cli.demo_calendar import Calendar
from cli.demo_cast import PASSWORD, KeyPlan, Person
from cli.demo_invoices import write_invoices
from cli.demo_usage import Source, Traffic
from db import accounts, invitations, keys, organizations, plans, team
from db.pool import Tenant
from db.types import SYSTEM, ApiKeyId, OrganizationId, UserId, new_id
from db.usage import UsageRecord
from jobs import email
from jobs.resources import Resources

RECORDS_AT_ONCE = 20_000
USAGE_COLUMNS = [*UsageRecord._fields, "billed_month"]


@dataclass(frozen=True, slots=True)
class Founded:
    """An organization of the demo; `secrets` are its keys' values by name, known only to the run that made them."""

    id: OrganizationId
    owner_id: UserId
    secrets: dict[str, str]


async def found(migrator: Resources, calendar: Calendar) -> Founded:
    """The organization with its people, keys, plans, usage and invoices. Raises Conflict when an e-mail is taken."""
    organization_id = OrganizationId(new_id())
    async with migrator.database.tenant(organization_id, SYSTEM) as tenant:
        people = await _people(migrator, tenant, calendar)
        await _plans(tenant, calendar)
        made = await _keys(tenant, calendar, people)
        await _leave(tenant, calendar, people)
        await _invite(tenant, calendar, people[0])
        await _traffic(tenant, calendar, made)
        await write_invoices(migrator, tenant, calendar)
    return Founded(organization_id, people[0], {new.key.name: new.secret for new in made})


async def _people(migrator: Resources, tenant: Tenant, calendar: Calendar) -> list[UserId]:
    """The organization with everybody's account and seat, each some days after the one before."""
    story = calendar.story
    await organizations.create(tenant, name=story.name, email=story.owner.email, now=calendar.founded)
    seats = []
    for number, person in enumerate(story.people):
        seats.append(await _seat(migrator, tenant, person, calendar.after(calendar.founded, 2.2 * number)))
    await email.enqueue(tenant, "welcome", subject_id=seats[0], recipient=story.owner.email)
    return seats


async def _seat(migrator: Resources, tenant: Tenant, person: Person, at: datetime) -> UserId:
    password_hash = await migrator.passwords.hash(PASSWORD)
    account_id = await accounts.create(
        tenant.conn, email=person.email, full_name=person.name, password_hash=password_hash
    )
    await accounts.mark_verified(tenant.conn, account_id, at)
    member = await team.add(tenant, UserId(new_id()), account_id, person.email, person.role, at)
    return member.id


async def _plans(tenant: Tenant, calendar: Calendar) -> None:
    """Every change of plan; the segments of closed months are written first, and the change finds them there."""
    for starts_at, plan in calendar.segments():
        await tenant.conn.copy_records_to_table(
            "plan_segments", schema_name="billing", columns=["organization_id", "starts_at", "plan"],
            records=[(tenant.organization_id, starts_at, plan)],
        )  # fmt: skip
        await plans.change(tenant, plan, starts_at)


async def _keys(tenant: Tenant, calendar: Calendar, people: list[UserId]) -> list[keys.NewKey]:
    made = []
    for plan in calendar.story.keys:
        new = await keys.create(
            tenant, name=plan.name, created_by=people[plan.maker], now=_made_at(calendar, plan), mode=plan.mode,
            expires_at=_ended_at(calendar, plan) if plan.ended == "expired" else None,
        )  # fmt: skip
        if plan.ended == "revoked":
            await keys.revoke(tenant, new.key.id, _ended_at(calendar, plan))
        made.append(new)
    return made


def _made_at(calendar: Calendar, plan: KeyPlan) -> datetime:
    return calendar.founded + timedelta(days=plan.since, minutes=40)


def _ended_at(calendar: Calendar, plan: KeyPlan) -> datetime:
    """When a key ended: in the middle of the fourth month; one that lives does not end."""
    return calendar.day(3, 11) if plan.ended else calendar.now


async def _leave(tenant: Tenant, calendar: Calendar, people: list[UserId]) -> None:
    """Some leave in the last month; the keys they made stay."""
    for person, user_id in zip(calendar.story.people, people, strict=True):
        if person.has_left:
            await team.remove(tenant, await team.member(tenant, user_id), calendar.day(len(calendar.months) - 1, 12))


async def _invite(tenant: Tenant, calendar: Calendar, owner: UserId) -> None:
    for address in calendar.story.invited:
        invitation = await invitations.invite(
            tenant, email=address, role="member", invited_by=owner, now=calendar.now - timedelta(hours=20)
        )
        await email.enqueue(tenant, "invitation", subject_id=invitation.id, recipient=invitation.email)


async def _traffic(tenant: Tenant, calendar: Calendar, made: list[keys.NewKey]) -> None:
    """The usage of every month, straight into the month it was made in."""
    sources = [
        Source(new.key.id, plan.share, _made_at(calendar, plan), _ended_at(calendar, plan), plan.mode == "test")
        for new, plan in zip(made, calendar.story.keys, strict=True)
    ]
    traffic = Traffic(tenant.organization_id, sources, calendar.segments(), calendar.founded, calendar.now)
    last_used: dict[ApiKeyId, datetime] = {}
    records = _records(calendar, traffic)
    while batch := list(islice(records, RECORDS_AT_ONCE)):
        await tenant.conn.copy_records_to_table(
            "usage_records", schema_name="usage", columns=USAGE_COLUMNS, records=map(_row, batch)
        )
        for record in batch:
            last_used[record.api_key_id] = max(record.occurred_at, last_used.get(record.api_key_id, record.occurred_at))
    await keys.touch(tenant, last_used)


def _records(calendar: Calendar, traffic: Traffic) -> Iterator[UsageRecord]:
    random = Random(calendar.story.name)  # noqa: S311 - the same story every time
    for month, plan in zip(calendar.months, calendar.story.months, strict=True):
        yield from traffic.month(random, month, plan.requests)
        if plan.runaway:
            yield from traffic.runaway(random, month, plan.runaway)
    for month in calendar.open_months():
        yield from traffic.month(random, month, calendar.story.requests_now)


def _row(record: UsageRecord) -> tuple[object, ...]:
    return *record, record.occurred_at.date().replace(day=1)
