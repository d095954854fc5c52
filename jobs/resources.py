"""What a process holds while it runs, opened once and closed in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from db.key_digest import KeyDigest
from db.last_seen import SeenSessions
from db.limits import Limits
from db.passwords import Passwords
from db.pool import Database
from db.replica import Replica
from db.standby import Address
from db.types import Clock, system_clock
from db.usage import UsageRecorder
from jobs.providers.configured import mail_transport, payment_providers, sms_provider
from jobs.providers.mail import MailTransport
from jobs.providers.payments import PaymentProvider
from jobs.providers.sms import SmsProvider
from jobs.waker import Waker
from settings import Settings


@dataclass
class Resources:
    """Handed to every handler and every job; `payments` by provider name, `sms` and `replica` None when not configured.

    `stopping` is set when the process is asked to end: a long job then finishes what it has in hand and returns.
    """

    settings: Settings
    database: Database
    limits: Limits
    usage: UsageRecorder
    waker: Waker
    mail: MailTransport
    sms: SmsProvider | None
    payments: dict[str, PaymentProvider]
    clock: Clock
    passwords: Passwords
    replica: Replica | None = None
    seen: SeenSessions = field(default_factory=SeenSessions)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def open_resources(settings: Settings, clock: Clock = system_clock) -> AsyncIterator[Resources]:
    """Open everything lazily: a part that is away delays nothing until it is needed."""
    async with AsyncExitStack() as stack:
        database = await Database.open(
            settings.database_url.get_secret_value(), settings.pool_size, "mts",
            statement_cache_size=settings.database_statement_cache,
        )  # fmt: skip
        stack.push_async_callback(database.close)
        pepper = settings.api_key_pepper
        digest = KeyDigest(pepper.get_secret_value() if pepper else None)
        limits = Limits(database, settings.redis_url.get_secret_value(), clock, settings.workers, digest)
        stack.push_async_callback(limits.close)
        replica = _replica(settings, database, limits)
        if replica:
            stack.push_async_callback(replica.close)
        mail = mail_transport(settings)
        stack.push_async_callback(mail.close)
        sms = sms_provider(settings)
        payments = payment_providers(settings)
        for provider in payments.values():
            stack.push_async_callback(provider.close)
        if sms:
            stack.push_async_callback(sms.close)
        usage = UsageRecorder(database)
        stack.push_async_callback(usage.close)
        waker = Waker(database)
        stack.push_async_callback(waker.close)
        passwords = Passwords(settings.bcrypt_rounds)
        stack.callback(passwords.close)
        yield Resources(settings, database, limits, usage, waker, mail, sms, payments, clock, passwords, replica)


def _replica(settings: Settings, database: Database, limits: Limits) -> Replica | None:
    """The standby, if one is configured; who reads there starts it."""
    if settings.replica_url is None:
        return None
    address = Address(
        settings.replica_url.get_secret_value(), settings.pool_size, settings.database_statement_cache
    )  # fmt: skip
    return Replica(address, database, limits.counters, settings.replica_lag_seconds)
