"""Decide about invoices: list those held back, issue or void one, write a credit note for an issued one, reconcile.

Works as app_worker: DATABASE_URL, or the live `mts dev`. Each decision wants a reason and goes into the organization's
trail with your user name. An invoice is named by its id; the list of parked ones shows it.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from cli.decisions import key, minor, operator, reason, signed
from cli.environment import resolve
from cli.errors import CommandError
from cli.tables import table
from db import billing, credit_notes, invoices, maintenance
from db.errors import DomainError, NotFound, Unavailable
from db.invoices import Cycle
from db.pool import Tenant
from db.types import Actor, CycleId, Money, OrganizationId
from jobs import dunning, email, logs, reconciliation
from jobs.billing import WORKER, announce, seller_of
from jobs.resources import Resources, open_resources

Action = Callable[[Resources, argparse.Namespace], Awaitable[int]]
OPERATOR = Actor("system")
CREDIT = (
    "What the invoice still owes is not owed any more; what was paid already is taken off the next invoices. To give"
    " money back instead, refund it at the provider first, and credit what is then owed again. A repeated command"
    " writes nothing: an invoice has one credit note of a key, which is KEY or, without one, the amount and the reason."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare parked, release, void, credit and reconcile."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("parked", help="invoices that a safety bound holds back, and why")
    _decision(actions.add_parser("release", help="issue a parked invoice as it is"))
    _decision(actions.add_parser("void", help="end a parked invoice: nobody shall owe it"))
    credit = actions.add_parser("credit", help="write a credit note for an issued invoice", description=CREDIT)
    credit.add_argument("id", type=UUID, metavar="ID")
    credit.add_argument("amount", metavar="AMOUNT", help="in the invoice's currency, such as 12.50")
    credit.add_argument("--reason", required=True, help="why, as the credit note prints it to the customer")
    credit.add_argument("--key", type=key, metavar="KEY", help="to credit the same amount for the same reason again")
    compare = actions.add_parser(
        "reconcile", help="compare the books of one organization, or of all and their webhooks"
    )
    compare.add_argument("organization", type=UUID, nargs="?", metavar="ORG")


def run(args: argparse.Namespace) -> int:
    """Do one action; 1 when a reconciliation finds differences. Raises CommandError with a sentence."""
    actions: dict[str, Action] = {
        "parked": _parked, "release": _release, "void": _void, "credit": _credit, "reconcile": _reconcile,
    }  # fmt: skip
    settings = resolve("app_worker")
    logs.configure("critical")

    async def act() -> int:
        async with open_resources(settings) as resources:
            return await actions[args.action](resources, args)

    try:
        return asyncio.run(act())
    except Unavailable as error:
        raise CommandError(f"The database does not answer: {error.__cause__ or error}") from error
    except DomainError as error:
        hint = " (--key KEY)" if error.code == "ALREADY_CREDITED" else ""
        raise CommandError(f"{error.message}{hint}.") from None


def _decision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", type=UUID, metavar="ID")
    parser.add_argument("--reason", required=True, help="why, for whoever reads the trail")


async def _parked(resources: Resources, args: argparse.Namespace) -> int:
    rows: list[tuple[str, ...]] = []
    async for organization_id in maintenance.organizations(resources.database):
        async with resources.database.tenant(organization_id, WORKER, read_only=True) as tenant:
            rows += [_row(cycle) for cycle in await invoices.parked(tenant)]
    print(table(("ID", "MONTH", "TOTAL", "ORGANIZATION", "WHY"), rows) if rows else "No invoice is held back.")
    return 0


async def _release(resources: Resources, args: argparse.Namespace) -> int:
    async def act(tenant: Tenant, cycle: Cycle) -> None:
        now, due_days = resources.clock.now(), resources.settings.invoice_due_days
        seller = seller_of(resources.settings)
        await billing.release(tenant, cycle.id, signed(args), now, due_days, seller)
        await announce(tenant, await invoices.get(tenant, cycle.id))

    return await _decide(resources, args, act)


async def _void(resources: Resources, args: argparse.Namespace) -> int:
    async def act(tenant: Tenant, cycle: Cycle) -> None:
        await billing.void(tenant, cycle.id, signed(args))

    return await _decide(resources, args, act)


async def _credit(resources: Resources, args: argparse.Namespace) -> int:
    given = minor(args.amount)

    async def act(tenant: Tenant, cycle: Cycle) -> None:
        now, seller = resources.clock.now(), seller_of(resources.settings)
        amount = Money(given, cycle.currency)
        note_id, _ = await credit_notes.credit(tenant, cycle.id, amount, reason(args), now, seller, args.key)
        await dunning.review_keys(resources, tenant)
        note = await credit_notes.get(tenant, note_id)
        await email.enqueue(tenant, "credit_note", subject_id=note.id, recipient=note.organization_email)
        later = Money(note.balance_minor, note.currency)
        print(f"Credit note {note.number_text}: {note.amount}, of which {later} comes off the next invoices.")

    return await _decide(resources, args, act)


async def _reconcile(resources: Resources, args: argparse.Namespace) -> int:
    if args.organization is None:
        found = await reconciliation.run(resources)
        print(table(("FINDING", "DIFFERENCES"), [(name, f"{count}") for name, count in sorted(found.findings.items())])
              if found.findings else "No difference.")  # fmt: skip
        print(f"{found.organizations} organizations compared, {found.failures} could not be.")
        return 1 if found.findings or found.failures else 0
    differences = await reconciliation.of_organization(resources, OrganizationId(args.organization))
    rows = [(each.finding, str(each.subject or ""), f"{each.expected}", f"{each.found}") for each in differences]
    print(table(("FINDING", "SUBJECT", "EXPECTED", "FOUND"), rows) if rows else "No difference.")
    return 1 if rows else 0


async def _decide(
    resources: Resources, args: argparse.Namespace, act: Callable[[Tenant, Cycle], Awaitable[None]]
) -> int:
    """Do it in the transaction of the organization that owes the invoice, and show how the invoice stands then."""
    organization_id = await _owner(resources, CycleId(args.id))
    database = resources.database
    async with database.tenant(organization_id, OPERATOR, request_id=f"operator-{operator()}") as tenant:
        await act(tenant, await invoices.get(tenant, CycleId(args.id)))
        cycle = await invoices.get(tenant, CycleId(args.id))
    head = ("INVOICE", "MONTH", "STATUS", "TOTAL", "CREDITED", "TO PAY", "ORGANIZATION")
    credited = Money(cycle.credited_minor, cycle.currency)
    row = (cycle.number_text, f"{cycle.month:%Y-%m}", cycle.status, str(cycle.total), str(credited),
           str(cycle.outstanding), cycle.organization_name)  # fmt: skip
    print(table(head, [row]))
    return 0


async def _owner(resources: Resources, cycle_id: CycleId) -> OrganizationId:
    """Whose invoice it is: no role of the product may look across organizations, so each is asked."""
    async for organization_id in maintenance.organizations(resources.database):
        async with resources.database.tenant(organization_id, WORKER, read_only=True) as tenant:
            try:
                await invoices.get(tenant, cycle_id)
            except NotFound:
                continue
            return organization_id
    raise CommandError(f"There is no invoice {cycle_id}. `mts invoices parked` lists those held back.")


def _row(cycle: Cycle) -> tuple[str, ...]:
    return (str(cycle.id), f"{cycle.month:%Y-%m}", str(cycle.total), cycle.organization_name, cycle.remark or "")
