"""Erases one organization in one transaction: every row of it, the people who are nowhere else, under a certificate."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from db.organization_life import LifeError, enter

# What the law wants kept of business: what was charged, what was paid, and how.
_INVOICES: dict[str, LiteralString] = {
    "billing_cycles": "select to_jsonb(t) from billing.billing_cycles t where organization_id = %s and issued_at is not"
    " null order by number",
    "billing_cycle_lines": "select to_jsonb(t) from billing.billing_cycle_lines t where organization_id = %s"
    " order by billing_cycle_id, position",
    "credit_notes": "select to_jsonb(t) from billing.credit_notes t where organization_id = %s order by number",
    "payments": "select to_jsonb(t) from billing.payments t where organization_id = %s order by created_at, id",
    "movements": "select to_jsonb(t) from billing.movements t where organization_id = %s order by occurred_at, id",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """The organization as it is before: its name, its status, and how many invoices were issued to it."""

    name: str
    status: str
    invoices: int


def look(url: str, organization_id: UUID) -> Subject:
    """What is about to be erased. Raises LifeError when it does not exist."""
    with psycopg.connect(url) as conn:
        enter(conn, organization_id)
        row = conn.execute(
            "select o.name, identity.organization_status(), (select count(*) from billing.billing_cycles c"
            " where c.organization_id = o.organization_id and c.issued_at is not null)"
            " from tenancy.organizations o where o.organization_id = %s",
            [organization_id],
        ).fetchone()
    if row is None:
        raise LifeError(f"There is no organization {organization_id}.")
    return Subject(*row)


def rehearse(url: str, organization_id: UUID) -> dict[str, int]:
    """Do all of it and take it back: the rows that would go, by table. Its own writers wait meanwhile."""
    with psycopg.connect(url) as conn:
        counts = _erase(conn, organization_id, "nobody", "rehearsal", None)
        conn.rollback()
    return counts


def erase(url: str, organization_id: UUID, *, operator: str, reason: str, invoices: Path | None) -> dict[str, int]:
    """Erase as app_migrator and return the rows that went, by table; issued invoices go into `invoices` first.

    Raises LifeError or psycopg.Error, and then nothing has changed.
    """
    with psycopg.connect(url) as conn:
        digest = _keep_invoices(conn, organization_id, invoices) if invoices else None
        try:
            counts = _erase(conn, organization_id, operator, reason, digest)
        except BaseException:
            if invoices:
                invoices.unlink()
            raise
        # From here on the file stays, also when the answer to the commit is lost.
        conn.commit()
    return counts


def _keep_invoices(conn: psycopg.Connection[Any], organization_id: UUID, path: Path) -> bytes:
    """The invoices' file is on disk before the rows go; returns its SHA-256."""
    conn.execute("select ops.hold_organization(%s)", [organization_id])
    kept = {name: [row for (row,) in conn.execute(query, [organization_id])] for name, query in _INVOICES.items()}
    content = json.dumps({"organization_id": str(organization_id), **kept}, indent=1, sort_keys=True).encode()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(content).digest()


def _erase(
    conn: psycopg.Connection[Any], organization_id: UUID, operator: str, reason: str, digest: bytes | None
) -> dict[str, int]:
    row = conn.execute(
        "select ops.erase_organization(%s, %s, %s, %s)", [organization_id, operator, reason, digest]
    ).fetchone()
    if row is None:
        raise LifeError("The database gave no answer.")
    counts: dict[str, int] = row[0]
    return counts
