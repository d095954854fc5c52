"""A worker's resources over real servers: Postgres, Valkey, an SMTP catcher and the provider sandboxes."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from cli.embedded.ports import free_port
from db.pool import Database
from jobs.providers.sandbox import SandboxConfig
from jobs.providers.sandbox.mail import Mailbox, start_smtp
from jobs.providers.sandbox.server import running
from jobs.resources import Resources, open_resources
from jobs.worker import work
from settings import Settings
from tests.servers import Urls
from tests.stack import stack, visitor

__all__ = ["stack", "visitor"]


@dataclass(frozen=True)
class Outside:
    """The world outside: where mail arrives, and the sandboxes' address."""

    mailbox: Mailbox
    smtp_port: int
    sandbox_url: str


@pytest.fixture
def sandbox_url(tmp_path: Path) -> Iterator[str]:
    """The provider sandboxes, which post no call-backs."""
    config = SandboxConfig(
        tmp_path / "sandbox", "sk_test_stripe", "whsec_stripe", "sk_test_paystack", "AC" + "0" * 32, "token"
    )
    with running(config) as base:
        yield base


@pytest.fixture
async def outside(tmp_path: Path, sandbox_url: str) -> AsyncIterator[Outside]:
    """A mail catcher in this loop beside the sandboxes."""
    mailbox = Mailbox(tmp_path / "mail")
    port = free_port()
    catcher = await start_smtp(port, mailbox)
    yield Outside(mailbox, port, sandbox_url)
    await catcher.stop()


@pytest.fixture
def settings(urls: Urls, redis_url: str, outside: Outside) -> Settings:
    """The settings of a worker."""
    return Settings(
        environment="dev",
        database_url=SecretStr(urls.worker),
        redis_url=SecretStr(redis_url),
        smtp_url=SecretStr(f"smtp://127.0.0.1:{outside.smtp_port}"),
        jwt_secret=SecretStr("x" * 32),
        twilio_account_sid="AC" + "0" * 32,
        twilio_auth_token=SecretStr("token"),
        twilio_api_base=f"{outside.sandbox_url}/twilio",
    )


@pytest.fixture
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    """What a worker holds."""
    async with open_resources(settings) as opened:
        yield opened


@pytest.fixture
async def api(urls: Urls) -> AsyncIterator[Database]:
    """The door of an API process."""
    opened = await Database.open(urls.api, 4, "tests")
    yield opened
    await opened.close()


async def run_queue(resources: Resources) -> None:
    """Let a real worker run until the queue is empty."""
    await work(resources, resources.settings.database_url.get_secret_value(), wait=False, periodic=False)
