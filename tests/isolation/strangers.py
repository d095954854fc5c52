"""The running product with two organizations in it, and what each may never learn of the other."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.providers.sandbox.mail import start_smtp
from jobs.providers.sandbox.mail_store import Mailbox
from settings import Settings
from tests.isolation.asking import SMS_TOKEN
from tests.isolation.houses import House, build
from tests.servers import Urls
from tests.stack import Stack, serving, settings_for
from tests.visitors import TurnableClock

VICTIM, ATTACKER = "zanzibarquokka", "ordinaryfolk"


@dataclass
class World:
    """The running product, and the two organizations."""

    stack: Stack
    victim: House
    attacker: House

    def of_the_victim(self) -> dict[str, str]:
        """A hash of every row of every table that mentions the victim."""
        named = [found for name, found in self.victim.values.items() if name.endswith("_id") and name != "message_id"]
        ids = "|".join(sorted({value for found in named for value in found}))
        hashed = "count(*), md5(string_agg(t::text, '|' order by t::text))"
        tables = [row[0] for row in self.stack.rows(TABLES)]
        statement = " union all ".join(
            f"select '{name}', {hashed} from {name} t where t::text ~ '{ids}'" for name in tables
        )
        return {name: f"{count} {digest}" for name, count, digest in self.stack.rows(statement)}

    def jobs(self) -> list[str]:
        """The arguments and locks of all jobs."""
        return [
            str(row[0])
            for row in self.stack.rows("select args::text || coalesce(lock, '') from jobs.procrastinate_jobs")
        ]

    def leaks(self, text: str) -> set[str]:
        """What of the victim's occurs in a text."""
        return {mark for mark in self.victim.marks() if mark in text.lower()}


TABLES = """
select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition and n.nspname in
      ('identity', 'tenancy', 'usage', 'billing', 'messaging', 'audit', 'jobs') order by 1
"""


@asynccontextmanager
async def opened(urls: Urls, redis_url: str, folder: Path, **more: object) -> AsyncIterator[World]:
    """The product with an SMS company and these settings, and both organizations founded."""
    async with AsyncExitStack() as cleanup:
        mailbox = Mailbox(folder / "mail")
        cleanup.callback(mailbox.close)
        catcher = await start_smtp(0, mailbox)
        cleanup.push_async_callback(catcher.stop)
        more = {"twilio_account_sid": "AC" + "0" * 32, "twilio_auth_token": SMS_TOKEN} | more
        settings, working = (
            Settings.model_validate(
                settings_for(url, redis_url, catcher.port, folder).model_dump(exclude_unset=True) | more
            )
            for url in (urls.api, urls.worker)
        )
        clock = TurnableClock()
        http, resources = await cleanup.enter_async_context(serving(settings, clock))
        stack = Stack(settings, working, clock, mailbox, resources, http, urls)
        yield World(stack, await build(stack, VICTIM), await build(stack, ATTACKER))


@contextmanager
def untouched(world: World, capfd: pytest.CaptureFixture[str], *may_be_logged: str) -> Iterator[None]:
    """In the block no row of the victim changes, no mail is sent, and no new job and no line of the log names it."""
    capfd.readouterr()
    before, mails = world.of_the_victim(), len(world.stack.mailbox.find())
    known = sorted(world.jobs())
    yield
    assert world.of_the_victim() == before
    fresh = [job for job in world.jobs() if job not in known]
    assert not world.leaks(" ".join(fresh))
    assert not world.leaks("".join(capfd.readouterr())) - set(may_be_logged)
    assert len(world.stack.mailbox.find()) == mails
