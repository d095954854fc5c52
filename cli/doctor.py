"""Check an installation and say what to do: settings, Postgres, its replica, row security, migrations, Redis, mail.

Looks at what DATABASE_URL and the other settings name, else at the live `mts dev`. Answers 0 when nothing is wrong.
"""

import argparse
import asyncio
import os
import smtplib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import psycopg

from cli.doctor_replica import replica
from cli.environment import database_url, resolve
from cli.errors import CommandError
from cli.findings import Finding
from db import checks, migrate
from db.errors import DomainError
from jobs.providers.smtp_url import parse_smtp_url
from jobs.resources import Resources, open_resources
from settings import Settings, SettingsError

MAIL_SECONDS = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """`mts doctor` takes its settings from the environment alone."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run(args: argparse.Namespace) -> int:
    """Print a line for each check; returns 1 when something is wrong."""
    try:
        settings = resolve(_role())
    except SettingsError as error:
        return _report([Finding(False, "Settings", line) for line in str(error).splitlines()])
    return _report(asyncio.run(_examine(settings)))


def _role() -> str:
    """Whose place we take: the role that DATABASE_URL logs in as when it is one of a process, else the API's."""
    given = urlsplit(os.environ.get("DATABASE_URL", "")).username
    return given if given in ("app_api", "app_worker") else "app_api"


def _report(findings: list[Finding]) -> int:
    for finding in findings:
        print(finding)
    wrong = sum(finding.ok is False for finding in findings)
    print(f"\n{wrong} of {len(findings)} checks failed." if wrong else "\nAll is well.")
    return 1 if wrong else 0


async def _examine(settings: Settings) -> list[Finding]:
    findings = [Finding(True, "Settings", f"complete, environment {settings.environment}")]
    async with open_resources(settings) as resources:
        findings += [finding async for finding in _postgres(resources)]
        findings += [finding async for finding in replica(resources)]
        findings.append(await _redis(resources))
    findings.append(await asyncio.to_thread(_migrations))
    findings.append(await asyncio.to_thread(_mail, settings))
    return [*findings, *_providers(settings)]


async def _postgres(resources: Resources) -> AsyncIterator[Finding]:
    address = _address(resources.settings.database_url.get_secret_value())
    try:
        async with resources.database.resolver(read_only=True) as conn:
            role, version = await conn.fetchrow("select current_user, current_setting('server_version')")
            yield Finding(True, "Postgres", f"{version} at {address} answers to {role}")
            for verdict in await checks.verdicts(conn):
                yield Finding(verdict.ok, "Isolation", verdict.reason)
    except DomainError as error:
        yield Finding(False, "Postgres", f"does not answer at {address}: {error.message}. Check DATABASE_URL.")


async def _redis(resources: Resources) -> Finding:
    address = _address(resources.settings.redis_url.get_secret_value())
    try:
        await resources.limits.ping()
    except DomainError:
        return Finding(False, "Redis", f"does not answer at {address}. Start it, or correct REDIS_URL.")
    return Finding(True, "Redis", f"at {address} answers")


def _migrations() -> Finding:
    try:
        states = migrate.status(database_url("app_migrator"))
    except CommandError:
        return Finding(None, "Migrations", "not looked at: only app_migrator may. Run `mts migrate status` as it.")
    except (psycopg.Error, migrate.MigrationError) as error:
        return Finding(False, "Migrations", str(error).strip().splitlines()[0])
    missing = [state.id for state in states if not state.is_applied]
    if missing:
        return Finding(False, "Migrations", f"{len(missing)} to apply from {missing[0]} on. Run `mts migrate up`.")
    return Finding(True, "Migrations", f"{len(states)} applied, none waits")


def _mail(settings: Settings) -> Finding:
    try:
        server = parse_smtp_url(settings.smtp_url.get_secret_value())
        kind = smtplib.SMTP_SSL if server.protection == "tls" else smtplib.SMTP
        with kind(server.host, server.port, timeout=MAIL_SECONDS) as client:
            client.noop()
    except ValueError as error:
        return Finding(False, "Mail", f"SMTP_URL: {error}.")
    except (OSError, smtplib.SMTPException) as error:
        address = _address(settings.smtp_url.get_secret_value())
        return Finding(False, "Mail", f"no server answers at {address} ({error}). Start it, or correct SMTP_URL.")
    return Finding(True, "Mail", f"{server.host}:{server.port} answers")


def _providers(settings: Settings) -> list[Finding]:
    """What is offered, and what is not because a secret is missing."""
    offered = {
        "Stripe": settings.stripe_secret_key and settings.stripe_api_base,
        "Paystack": settings.paystack_secret_key and settings.paystack_api_base,
        "SMS": settings.twilio_account_sid and settings.twilio_auth_token and settings.twilio_api_base,
    }
    findings = [
        Finding(None, name, f"through {base}" if base else "not offered: no key") for name, base in offered.items()
    ]
    if settings.stripe_secret_key and not settings.stripe_webhook_secret:
        findings.append(Finding(False, "Stripe", "STRIPE_WEBHOOK_SECRET is not set: payments will never be seen."))
    return findings


def _address(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
