"""Delivers customers' messages: what waits is drained in batches, fair by organization, each attempt claimed first."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog

from db import messages, queue, suppressions
from db.messages import Claimed, Outcome
from db.pool import Tenant
from db.types import Actor, OrganizationId
from jobs.app import Once, global_job, periodic
from jobs.delivery import SUPPRESSED, deliver, find_out
from jobs.marking import insist
from jobs.metrics import MESSAGES
from jobs.resources import Resources

log = structlog.get_logger()
BATCH = 20
AT_ONCE = 8
# A claim outlives every attempt made under it: nobody takes a message over from a worker that still tries.
ABANDONED_AFTER = timedelta(minutes=5)
LONGEST_ATTEMPT = ABANDONED_AFTER / 2
WORKER = Actor("job")


@dataclass(frozen=True, slots=True)
class Turn:
    """What one organization's turn in a round found: whether something was due, and how many messages are left."""

    had_work: bool
    left: int


Attempt = Callable[[Resources, OrganizationId, str, Claimed], Awaitable[Outcome]]


# No second try: its queueing lock could leave a retried job stuck beside a new bell, and the sweep comes anyway.
@global_job(queue="messages", retry=Once())
async def drain(resources: Resources) -> None:
    """Deliver all that waits, a batch of each organization in turn, until a round finds nothing due.

    A worker that is to stop finishes its batches and rings for another one.
    """
    while not resources.stopping.is_set():
        organizations = [organization async for organization in messages.waiting_organizations(resources.database)]
        if not await _round(resources, organizations):
            return
    async with resources.database.resolver() as conn:
        await drain.configure(queueing_lock=drain.name).defer(conn)


@periodic(cron="* * * * * */15", queue="messages", waits_once=True)
async def sweep(resources: Resources, timestamp: int) -> None:
    """Find what a lost bell, a killed worker or a waiting retry has left."""
    await drain.run(resources)


async def _round(resources: Resources, organizations: list[OrganizationId]) -> bool:
    """One batch of each organization, some at once; whether any had something due."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def turn(organization_id: OrganizationId) -> Turn:
        async with turns:
            if resources.stopping.is_set():
                return Turn(False, 0)
            try:
                return await _batch(resources, organization_id)
            except Exception:
                # One organization's trouble must not keep the others waiting; its rows stay for the next sweep.
                log.exception("messages.batch_failed", organization_id=str(organization_id))
                return Turn(False, 0)

    taken = await asyncio.gather(*(turn(organization_id) for organization_id in organizations))
    async with resources.database.resolver() as conn:
        await queue.gauge(conn, "messages_waiting", sum(turn.left for turn in taken))
    return any(turn.had_work for turn in taken)


async def _batch(resources: Resources, organization_id: OrganizationId) -> Turn:
    database, now = resources.database, resources.clock.now()
    async with database.tenant(organization_id, WORKER) as tenant:
        due = await messages.claim(tenant, BATCH, now)
        abandoned = await messages.claim_abandoned(tenant, BATCH, now - ABANDONED_AFTER, now)
        allowed = [await _allowed(tenant, message) for message in due]
        name = await messages.organization_name(tenant)
    await _attempt(resources, organization_id, name, [m for m, fine in zip(due, allowed, strict=True) if fine], deliver)
    await _attempt(resources, organization_id, name, abandoned, find_out)
    async with database.tenant(organization_id, WORKER) as tenant:
        left = await messages.withdraw(tenant)
    return Turn(bool(due or abandoned), left)


async def _allowed(tenant: Tenant, message: Claimed) -> bool:
    if not await suppressions.holds(tenant, message.type, message.recipient):
        return True
    await messages.settle(tenant, message.id, Outcome("failed", error="recipient is suppressed"), message.claimed_at)
    return False


async def _attempt(
    resources: Resources, organization_id: OrganizationId, name: str, claimed: list[Claimed], attempt: Attempt
) -> None:
    """Make the attempts side by side, then write their outcomes in one short transaction each."""

    async def one(message: Claimed) -> None:
        try:
            async with asyncio.timeout(LONGEST_ATTEMPT.total_seconds()):
                outcome = await attempt(resources, organization_id, name, message)
        except TimeoutError:
            # Nobody knows how far it came: it stays claimed, and whoever takes it over finds out.
            log.warning("message.attempt_cut_off", message_id=str(message.id), type=message.type)
            return
        await insist(partial(_settle, resources, organization_id, message, outcome))
        MESSAGES.labels(message.type, outcome.status).inc()
        log.info("message.attempted", message_id=str(message.id), type=message.type, status=outcome.status)

    await asyncio.gather(*(one(message) for message in claimed))


async def _settle(resources: Resources, organization_id: OrganizationId, message: Claimed, outcome: Outcome) -> None:
    now = resources.clock.now()
    async with resources.database.tenant(organization_id, WORKER) as tenant:
        await messages.settle(tenant, message.id, outcome, now)
        if outcome.error and outcome.error.startswith(SUPPRESSED):
            reason = outcome.error.removeprefix(SUPPRESSED)
            await suppressions.add(tenant, message.type, message.recipient, "refusal", reason, now)
