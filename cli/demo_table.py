"""What `mts demo` prints: who can log in, what there is to see, and where."""

from datetime import date

from cli.demo_calendar import Calendar
from cli.demo_cast import PASSWORD, STORIES, Story
from cli.demo_founding import Founded
from cli.instance import Instance
from db import dashboard, invitations, invoices, keys, messages, organizations, team
from db.invoices import Cycle
from db.pool import Tenant
from db.types import SYSTEM
from jobs.invoices import STATES
from jobs.providers.mail_words import count
from jobs.resources import Resources


async def print_table(worker: Resources, instance: Instance, founded: dict[str, Founded]) -> None:
    """Print everything, read from the database as it is now."""
    for story in STORIES:
        async with worker.database.tenant(founded[story.name].id, SYSTEM, read_only=True) as tenant:
            print("\n".join(await _organization(worker, tenant, story)))
    print("\n".join(_places(instance, founded)), flush=True)


async def _organization(worker: Resources, tenant: Tenant, story: Story) -> list[str]:
    now = worker.clock.now()
    stats = await dashboard.stats(tenant, now)
    sent = await messages.page(tenant, before=messages.LAST, limit=100, status=None, kind=None)
    listed, _ = await keys.page(tenant, 1, 100)
    states = sorted({message.status for message in sent}, key=("queued", "sent", "delivered", "failed").index)
    orphaned = sum(key.is_orphaned for key in listed)
    return [
        f"\n{stats.name}, {stats.plan} plan",
        *[f"  {member.email:<28} {member.role}" for member in await team.members(tenant)],
        *[f"  {each.email:<28} invited as {each.role}" for each in await invitations.pending(tenant, now)],
        f"  requests   {count(stats.total_requests_30d)} in 30 days, {stats.success_rate}% without an error",
        f"  API keys   {stats.active_api_keys} active of {stats.total_api_keys}, {orphaned} of somebody who has left",
        f"  messages   {count(len(sent))}: {', '.join(states)}",
        *[f"  {line}" for line in await _invoices(worker, tenant, story)],
    ]


async def _invoices(worker: Resources, tenant: Tenant, story: Story) -> list[str]:
    issued, _ = await invoices.issued(tenant, 1, 1000)
    by_month = {cycle.month: cycle for cycle in [*issued, *await invoices.parked(tenant)]}
    organization = await organizations.get(tenant)
    months = Calendar.since(story, organization.created_at, worker.clock.now()).months
    return [_invoice(month, by_month.get(month)) for month in months]


def _invoice(month: date, cycle: Cycle | None) -> str:
    """One month; the one that is neither issued nor parked was voided."""
    if cycle is None:
        return f"{month:%Y-%m}    void: held back, looked at, and owed by nobody"
    if cycle.status == "parked":
        return f"{month:%Y-%m}    held back: {cycle.remark}"
    return f"{month:%Y-%m}    {cycle.number_text}  {cycle.total!s:>12}  {STATES[cycle.status].lower()}"


def _places(instance: Instance, founded: dict[str, Founded]) -> list[str]:
    parked = founded[STORIES[-1].name].id
    return [
        f"\nPassword of everybody: {PASSWORD}\n",
        f"  Dashboard           {instance.base_url}/login",
        f"  Mail they got       {instance.sandbox['mail']}",
        f"  Payments and SMS    {instance.sandbox['index']}",
        "  What is held back   ./mts psql auditor",
        f"                      call ops.as_org('{parked}', 'the demo');",
        "                      select period_start, status, remark from billing.billing_cycles;",
    ]
