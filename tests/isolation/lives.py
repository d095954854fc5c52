"""What the drills of an organization's life share: one in use, fingerprints of its rows, a search of everything."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from cli.embedded.binaries import pg_dump
from db.archive import Manifest
from db.organization_export import export_organization
from tests.servers import Urls
from tests.stack import Stack
from tests.visitors import Person, Reply, Visitor

WHO = {"operator": "alice@host", "reason": "TICKET-1 drill"}


@dataclass
class Lively:
    """An organization in use: its owner, a member who is nowhere else, and a key."""

    owner: Person
    member: Person
    key: str

    @property
    def id(self) -> UUID:
        """The organization."""
        return UUID(self.owner.organization["id"])

    @property
    def words(self) -> list[str]:
        """What would give it away elsewhere."""
        return [str(self.id), self.owner.email, self.member.email, self.owner.user["id"]]


async def live(stack: Stack, name: str) -> Lively:
    """Found an organization and let it work: people, an invitation, a key, a message, usage and an invoice."""
    owner = await stack.register(name)
    member = await stack.join(owner)
    await stack.invite(owner)
    key = (await owner.post("/keys", {"name": "main", "scopes": ["messages:send", "usage:read"]})).data["key"]
    assert (await send(stack.visitor(), key)).code == "OK"
    await stack.work()
    _invoice(stack, UUID(owner.organization["id"]))
    return Lively(owner, member, key)


async def send(visitor: Visitor, key: str) -> Reply:
    """Send a message with a key."""
    body = {"type": "email", "to": "customer@mts-test.com", "subject": "Hi", "message": "Hello"}
    return await visitor.post("/messages/send", body, X_API_Key=key)


def _invoice(stack: Stack, organization_id: UUID) -> None:
    """An issued invoice with a line and a payment, and what its provider sent: one event matched, one not yet."""
    with psycopg.connect(stack.urls.superuser) as conn:
        conn.execute("set session_replication_role = replica")
        names = {"id": organization_id, "reference": f"ref-{organization_id.hex[-8:]}"}
        conn.execute(_INVOICE, names)
        conn.execute(_LINE, names)
        conn.execute(_PAYMENT, names)
        conn.execute(_NOTE, names)
        conn.execute(_EVENTS, names)


_INVOICE = """
insert into billing.billing_cycles (organization_id, id, period_start, period_end, number, organization_name,
    organization_email, plan, currency, total_requests, total_amount_minor, paid_minor, status,
    issued_at, due_date, paid_at)
values (%(id)s, %(id)s, '2026-09-01Z', '2026-10-01Z', 1, 'Kept', 'kept@mts-test.com', 'pro', 'USD', 1, 2900, 2900,
    'paid', '2026-10-01Z', '2026-10-15Z', '2026-10-02Z')
"""
_LINE = """
insert into billing.billing_cycle_lines (organization_id, billing_cycle_id, position, kind, plan, description, quantity,
    unit_minor, unit_per, amount_minor) values (%(id)s, %(id)s, 1, 'base', 'pro', 'Pro', 1, 2900, 1, 2900)
"""
_PAYMENT = """
with payment as (
    insert into billing.payments (organization_id, id, billing_cycle_id, provider, reference, customer_email,
        amount_minor, currency, invoice_minor, succeeded_minor, status,
        created_at, updated_at, expires_at, asked_at)
    values (%(id)s, %(id)s, %(id)s, 'stripe', %(reference)s, 'kept@mts-test.com', 2900, 'USD', 2900, 2900,
        'succeeded', now(), now(), now(), now())
)
insert into identity.payment_directory (provider, reference, organization_id, payment_id)
values ('stripe', %(reference)s, %(id)s, %(id)s)
"""
_NOTE = """
insert into billing.credit_notes (organization_id, id, billing_cycle_id, number, amount_minor, settled_minor,
    balance_minor, currency, reason, organization_name, organization_email, issued_at)
values (%(id)s, %(id)s, %(id)s, 1, 900, 0, 900, 'USD', 'an outage', 'Kept', 'kept@mts-test.com', '2026-10-03Z')
"""
_EVENTS = """
insert into billing.payment_events (provider, event_id, type, reference, is_live, payload, received_at, organization_id)
values ('stripe', %(reference)s || '-1', 'paid', %(reference)s, false, '{}', now(), %(id)s),
       ('stripe', %(reference)s || '-2', 'paid', %(reference)s, false, '{}', now(), null),
       ('stripe', %(reference)s || '-3', 'paid', null, false, jsonb_build_object('metadata', %(id)s::text), now(), null)
"""


def export(urls: Urls, organization_id: UUID, path: Path) -> Manifest:
    """Export as the exporter does."""
    return export_organization(urls.exporter, organization_id, path, pg_dump(), **WHO)


def fingerprints(urls: Urls, organization_id: UUID) -> dict[str, str]:
    """A digest over all rows of an organization in every table that has any, whatever their order."""
    found = {}
    with psycopg.connect(urls.superuser) as conn:
        for (table,) in conn.execute("select name from ops.organization_tables()").fetchall():
            query = sql.SQL("select t::text from {} t where organization_id = %s order by 1")
            rows = conn.execute(query.format(sql.Identifier(*table.split("."))), [organization_id]).fetchall()
            found[table] = f"{len(rows)} {hashlib.sha256(repr(rows).encode()).hexdigest()}"
    return found


def traces(urls: Urls, word: str) -> list[str]:
    """Every column of every table, partitions and queue included, that holds a word anywhere in its text."""
    with psycopg.connect(urls.superuser) as conn:
        columns = conn.execute(
            "select format('%I.%I', n.nspname, c.relname), a.attname::text from pg_attribute a"
            " join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind = 'r' and a.attnum > 0 and not a.attisdropped"
            " and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')"
        ).fetchall()
        return [f"{table}.{column}" for table, column in columns if _holds(conn, table, column, word)]


def _holds(conn: psycopg.Connection[Any], table: str, column: str, word: str) -> bool:
    query = sql.SQL("select from {} where strpos({}::text, %s) > 0 limit 1")
    source = sql.Identifier(*table.replace('"', "").split("."))
    return conn.execute(query.format(source, sql.Identifier(column)), [word]).rowcount > 0
