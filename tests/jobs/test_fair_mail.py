"""Mail of the product leaves in a fair order: people at the screen first, and nobody's flood before everybody else."""

from db.pool import Database
from db.types import SYSTEM
from jobs import email
from jobs.resources import Resources
from jobs.worker import declare_jobs
from tests.founding import Founded, found, new_key
from tests.jobs.conftest import Outside, run_queue

FLOOD = 60


async def _ask(api: Database, founded: Founded, recipients: list[str]) -> None:
    key = await new_key(api, founded)
    async with api.tenant(founded.organization_id, SYSTEM) as tenant:
        for recipient in recipients:
            assert await email.enqueue(tenant, "key_created", subject_id=key.key.id, recipient=recipient)


async def test_one_organizations_flood_of_mail_does_not_starve_another(
    api: Database, resources: Resources, outside: Outside
) -> None:
    declare_jobs()
    flooding, quiet = await found(api, "pro"), await found(api)
    await _ask(api, flooding, [f"flood{number}@example.com" for number in range(FLOOD)])
    await _ask(api, quiet, ["quiet@example.com"])
    async with api.resolver() as conn:
        await email.enqueue_account(conn, quiet.account_id, "verification")
    await run_queue(resources)
    order = [mail.recipients[0] for mail in reversed(outside.mailbox.find())]
    assert len(order) == FLOOD + 2
    at_once = 8
    person = next(to for to in order if to.startswith("owner-"))
    assert order.index(person) <= at_once, "somebody waits for it at the screen"
    assert order.index("quiet@example.com") <= email.MAILS_A_TURN + at_once
