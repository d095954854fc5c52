"""The whole product in one event loop: a real uvicorn on a real socket, a real worker, real stores, a real SMTP server.

A test package that wants it says in its conftest: `from tests.stack import stack, visitor`  and `__all__` for both .
- `stack`    for the module: `.visitor()`, `.register()`, `await stack.work()` (the worker, until its queue is empty),
             `stack.mails(to)`, `stack.clock.turn(days=8)`, `async with stack.second_process() as http`
- `visitor`  somebody new on a network of his own: `await visitor.post("/auth/login", {...})`
"""

import asyncio
import itertools
import re
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest
import uvicorn

from api.app import SUBJECTS, create_app
from api.http import Router
from db.types import Clock
from jobs.providers.sandbox.mail import start_smtp
from jobs.providers.sandbox.mail_store import CaughtMail, Mailbox
from jobs.resources import Resources, open_resources
from jobs.worker import work
from settings import Settings
from tests.networks import new_network
from tests.servers import Urls
from tests.visitors import PASSWORD, Person, TurnableClock, Visitor

BASE_URL = "http://mts.example"
_people = itertools.count(1)


@dataclass
class Stack:
    """The running product."""

    settings: Settings
    worker_settings: Settings
    clock: TurnableClock
    mailbox: Mailbox
    resources: Resources
    http: httpx.AsyncClient
    urls: Urls

    def visitor(self, http: httpx.AsyncClient | None = None) -> Visitor:
        """Somebody new on a network of his own."""
        return Visitor(http or self.http, new_network())

    async def register(self, name: str = "Acme", *, verified: bool = True, password: str = PASSWORD) -> Person:
        """An organization with its owner, logged in."""
        person = Person(self.http, new_network(), email=self.new_email(), password=password)
        body = {"organization_name": name, "email": person.email, "password": password}
        _log_in(person, (await person.post("/auth/register", body)).data)
        if verified:
            await self.verify(person)
        return person

    async def verify(self, person: Person) -> None:
        """Follow the link of the verification mail."""
        await self.work()
        (await person.post("/auth/verify-email", {"token": self.token_for(person.email, "/verify-email")})).data  # noqa: B018

    def new_email(self) -> str:
        """An address that nobody has."""
        return f"person-{next(_people)}@mts-test.com"

    async def invite(self, inviter: Person, role: str = "member", email: str | None = None) -> tuple[str, str]:
        """Invite somebody; returns the address and the token in the mail."""
        email = email or self.new_email()
        (await inviter.post("/team/invite", {"email": email, "role": role})).data  # noqa: B018
        await self.work()
        return email, self.token_for(email, "/accept-invitation")

    async def join(self, inviter: Person, role: str = "member") -> Person:
        """A new person in the inviter's team, logged in there."""
        email, token = await self.invite(inviter, role)
        person = Person(self.http, new_network(), email=email)
        _log_in(person, (await person.post("/team/accept-invitation", {"token": token, "password": PASSWORD})).data)
        return person

    async def work(self) -> None:
        """Run the worker until no job is waiting."""
        async with open_resources(self.worker_settings, self.clock) as resources:
            await work(resources, self.urls.worker, wait=False, periodic=False)

    async def work_again(self) -> None:
        """As `work`, with the waits of retries passed over."""
        self.rows("update jobs.procrastinate_jobs set scheduled_at = null where status = 'todo' returning id")
        await self.work()

    def rows(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Ask Postgres as its superuser, around all row security."""
        with psycopg.connect(self.urls.superuser, autocommit=True) as connection:
            return connection.execute(statement.encode(), arguments).fetchall()

    def mails(self, to: str) -> list[CaughtMail]:
        """The mails to an address, the newest first."""
        return self.mailbox.find(to=to)

    def token_for(self, to: str, path: str) -> str:
        """The token in the newest mail to an address that links to this page."""
        for mail in self.mails(to):
            for url in re.findall(r"https?://\S+", mail.part("plain") or ""):
                if urlsplit(url).path == path:
                    return str(parse_qs(urlsplit(url).query)["token"][0])
        raise AssertionError(f"no mail to {to} links to {path}")

    @asynccontextmanager
    async def second_process(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client of another server over the same stores, with a memory of its own."""
        async with serving(self.settings, self.clock) as (http, _):
            yield http


class _Server(uvicorn.Server):
    """uvicorn inside a loop that is not its own: the signals stay pytest's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(
    settings: Settings, clock: Clock, subjects: Iterable[Router] = SUBJECTS
) -> AsyncIterator[tuple[httpx.AsyncClient, Resources]]:
    """The product on a free port: a client of it, and what its process holds."""
    # Named TCP, so that asyncio sends small answers at once instead of waiting 40 ms for more.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            create_app(settings, subjects), access_log=False, proxy_headers=False, log_level="error"
        )
        server = _Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            if running.done():
                await running
                raise RuntimeError("the server did not start")
            await asyncio.sleep(0.005)
        resources: Resources = server.lifespan.state["resources"]
        resources.clock = clock
        try:
            async with httpx.AsyncClient(
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # each visitor has his own
                base_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
                timeout=30,
                limits=httpx.Limits(max_connections=64),
            ) as http:
                yield http, resources
        finally:
            server.should_exit = True
            await running


@pytest.fixture(scope="module")
async def stack(urls: Urls, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The product over this module's own database and Redis."""
    folder = tmp_path_factory.mktemp("stack")
    async with AsyncExitStack() as cleanup:
        mailbox = Mailbox(folder / "mail")
        cleanup.callback(mailbox.close)
        catcher = await start_smtp(0, mailbox)
        cleanup.push_async_callback(catcher.stop)
        settings = settings_for(urls.api, redis_url, catcher.port, folder)
        clock = TurnableClock()
        http, resources = await cleanup.enter_async_context(serving(settings, clock))
        worker_settings = settings_for(urls.worker, redis_url, catcher.port, folder)
        yield Stack(settings, worker_settings, clock, mailbox, resources, http, urls)


@pytest.fixture
def visitor(stack: Stack) -> Visitor:
    """Somebody new on a network of his own."""
    return stack.visitor()


def settings_for(database_url: str, redis_url: str, smtp_port: int, folder: Path) -> Settings:
    """The settings of a process; passwords are hashed at the lowest cost."""
    return Settings.from_env(
        {
            "ENVIRONMENT": "dev",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
            "JWT_SECRET": "a secret of the tests, long enough for its use",
            "MAIL_FROM": "MTS <no-reply@mts.example>",
            "BASE_URL": BASE_URL,
            "BCRYPT_ROUNDS": "4",
            "TRUSTED_PROXIES": "127.0.0.0/8",
            "DATA_DIR": str(folder),
            "LOG_LEVEL": "warning",
        }
    )


def _log_in(person: Person, data: dict[str, Any]) -> None:
    person.token, person.user, person.organization = data["token"], data["user"], data["organization"]
