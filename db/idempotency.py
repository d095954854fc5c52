"""Idempotency keys: the first answer, stored in its effect's transaction, secrets readable only with the key."""

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from db.billing import last_billed
from db.errors import Conflict, Unprocessable
from db.pool import Tenant
from db.statements import load

queries = load("idempotency")
KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Stored:
    """The first answer to a key; `record_id` is its request's, `was_recorded` whether that request is in the books."""

    status_code: int
    answer: bytes
    record_id: UUID
    was_recorded: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A request that names a key: who asks, the key, what was asked, and the id its usage is recorded under."""

    subject_id: UUID
    key: str
    request_hash: bytes
    record_id: UUID


async def find(tenant: Tenant, claim: Claim, now: datetime) -> Stored | None:
    """Take the key for this transaction, or return what was answered to it in the last 24 hours.

    Waits for a twin in flight. Raises Conflict IDEMPOTENCY_KEY_IN_USE when the twin takes too long, Unprocessable
    IDEMPOTENCY_KEY_REUSED when the key came with another request.
    """
    names = {
        "organization_id": tenant.organization_id,
        "subject_id": claim.subject_id,
        "key_hash": _hash(claim.key),
    }
    try:
        if await queries.claim(
            tenant.conn, **names, request_hash=claim.request_hash, record_id=claim.record_id, now=now
        ):
            return None
    except asyncpg.LockNotAvailableError as error:
        raise Conflict(
            "IDEMPOTENCY_KEY_IN_USE", "A request with this Idempotency-Key is still being answered"
        ) from error
    row = await queries.get(tenant.conn, **names, **_months(now))
    if row["created_at"] <= now - KEPT:
        return None
    if row["request_hash"] != claim.request_hash:
        raise Unprocessable("IDEMPOTENCY_KEY_REUSED", "This Idempotency-Key was used with another request")
    answer = _decrypt(tenant, claim.key, row["answer"]) if row["is_encrypted"] else row["answer"]
    return Stored(row["status_code"], answer, row["record_id"], row["was_recorded"])


async def store(tenant: Tenant, claim: Claim, status: int, answer: bytes, now: datetime, *, secret: bool) -> None:
    """Write the answer beside the effect; with `secret` encrypted under a key that only the Idempotency-Key gives."""
    await queries.store(
        tenant.conn, organization_id=tenant.organization_id, subject_id=claim.subject_id, key_hash=_hash(claim.key),
        request_hash=claim.request_hash, record_id=claim.record_id, status_code=status,
        answer=_encrypt(tenant, claim.key, answer) if secret else answer, is_encrypted=secret, now=now,
    )  # fmt: skip


def _months(now: datetime) -> dict[str, date]:
    """In which a request can be billed whose answer is still kept; a request begins somewhat before its answer."""
    began = (now - KEPT - timedelta(hours=1)).astimezone(UTC)
    return {"first_month": began.date().replace(day=1), "last_month": last_billed(now)}


def _hash(key: str) -> bytes:
    return sha256(b"idempotency-key\0" + key.encode()).digest()


def _cipher(tenant: Tenant, key: str) -> AESGCM:
    return AESGCM(sha256(b"idempotent-answer\0" + tenant.organization_id.bytes + key.encode()).digest())


def _encrypt(tenant: Tenant, key: str, answer: bytes) -> bytes:
    nonce = os.urandom(12)
    return nonce + _cipher(tenant, key).encrypt(nonce, answer, None)


def _decrypt(tenant: Tenant, key: str, stored: bytes) -> bytes:
    return _cipher(tenant, key).decrypt(stored[:12], stored[12:], None)


async def prune(tenant: Tenant, before: datetime) -> int:
    """Forget answers stored before a time; returns how many."""
    forgotten: int = await queries.prune(tenant.conn, organization_id=tenant.organization_id, before=before)
    return forgotten
