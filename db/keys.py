"""API keys: 256 random bits shown once, found again by their digest alone."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from db.errors import Conflict, NotFound
from db.key_cache import ResolvedKey
from db.key_digest import KeyDigest, plain
from db.lookups import Found
from db.pool import Database, Tenant
from db.statements import load
from db.types import Actor, ApiKeyId, UserId, new_id

queries = load("keys")

Mode = Literal["live", "test"]
SCOPES = ("messages:send", "messages:read", "usage:read")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is listed: never its value."""

    id: ApiKeyId
    name: str
    masked: str
    mode: Mode
    scopes: tuple[str, ...]
    is_active: bool
    created_by: UserId
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    creator_email: str | None = None
    is_orphaned: bool = False


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key and its value, which exists only in this answer."""

    key: ApiKey
    secret: str


async def resolve(database: Database, found: Found, now: datetime) -> ResolvedKey | None:
    """What a key may do now, or None when it is revoked or expired."""
    actor = Actor("api_key", found.api_key_id)
    async with database.tenant(found.organization_id, actor, read_only=True) as tenant:
        row = await queries.resolve(
            tenant.conn, organization_id=found.organization_id, id=found.api_key_id, today=now.date()
        )
    if row is None or (row["expires_at"] is not None and row["expires_at"] <= now):
        return None
    return ResolvedKey(
        found.organization_id, found.api_key_id, row["plan"], frozenset(row["scopes"]), row["mode"] == "test",
        row["expires_at"], row["status"], row["per_minute"], row["month_quota"],
        Decimal(row["overage_minor"]).scaleb(-2) / row["overage_per"],
    )  # fmt: skip


async def create(
    tenant: Tenant,
    *,
    name: str,
    created_by: UserId,
    now: datetime,
    mode: Mode = "live",
    scopes: Sequence[str] = SCOPES,
    expires_at: datetime | None = None,
    digest: KeyDigest = plain,
) -> NewKey:
    """Make a key of 256 random bits; `digest` is the installation's.

    Raises Conflict API_KEY_LIMIT_REACHED when the plan allows no more active ones.
    """
    await _refuse_too_many(tenant, now)
    return await _write(tenant, name, created_by, now, mode, scopes, expires_at, digest)


async def _refuse_too_many(tenant: Tenant, now: datetime, *, times: int = 1) -> None:
    """Lock the organization and raise Conflict when it has `times` as many active keys as its plan allows."""
    allowed = await queries.lock_organization(tenant.conn, organization_id=tenant.organization_id, today=now.date())
    if await queries.count_active(tenant.conn, organization_id=tenant.organization_id, now=now) >= allowed * times:
        raise Conflict("API_KEY_LIMIT_REACHED", f"The plan allows {allowed} active keys", {"limit": allowed})


async def _write(
    tenant: Tenant,
    name: str,
    created_by: UserId,
    now: datetime,
    mode: Mode,
    scopes: Sequence[str],
    expires_at: datetime | None,
    digest: KeyDigest,
) -> NewKey:
    random = secrets.token_hex(32)
    secret = f"sk_{mode}_{random}"
    row = await queries.create(
        tenant.conn, organization_id=tenant.organization_id, id=new_id(), name=name, mode=mode, first4=random[:4],
        last4=random[-4:], scopes=list(scopes), created_by=created_by, now=now, expires_at=expires_at,
    )  # fmt: skip
    await queries.register(tenant.conn, digest=digest(secret), id=row["id"])
    return NewKey(_listed(row), secret)


async def page(tenant: Tenant, number: int, size: int) -> tuple[list[ApiKey], int]:
    """One page of keys, newest first, and how many there are in all."""
    rows = queries.page(tenant.conn, organization_id=tenant.organization_id, limit=size, offset=(number - 1) * size)
    listed = [_listed(row) async for row in rows]
    return listed, await queries.count(tenant.conn, organization_id=tenant.organization_id)


async def get_for_update(tenant: Tenant, key_id: ApiKeyId) -> Any:
    """The row of an active key, locked. Raises NotFound for a revoked or foreign one."""
    row = await queries.get_for_update(tenant.conn, organization_id=tenant.organization_id, id=key_id)
    if row is None or not row["is_active"]:
        raise NotFound("API key")
    return row


async def revoke(tenant: Tenant, key_id: ApiKeyId, now: datetime) -> None:
    """End a key; it is refused everywhere once the caller has committed and bumped its organization."""
    await queries.revoke(tenant.conn, organization_id=tenant.organization_id, id=key_id, now=now)
    await queries.forget(tenant.conn, id=key_id)


async def rotate(
    tenant: Tenant, key_id: ApiKeyId, by: UserId, now: datetime, grace: timedelta, digest: KeyDigest = plain
) -> NewKey:
    """Replace a key by a new one of the same name, scopes and expiry; the old one lives through the grace.

    Each key has one successor, and keys in their grace are at most as many as the plan allows keys. Raises Conflict
    CONFLICT for a key that has been replaced, API_KEY_LIMIT_REACHED when too many live through a grace already.
    """
    if grace:
        await _refuse_too_many(tenant, now, times=2)
    old = await get_for_update(tenant, key_id)
    if old["replaced_by"] is not None:
        raise Conflict("CONFLICT", "This key has been replaced already", {"replaced_by": str(old["replaced_by"])})
    new = await _write(tenant, old["name"], by, now, old["mode"], old["scopes"], old["expires_at"], digest)
    if grace:
        await queries.replace(
            tenant.conn,
            organization_id=tenant.organization_id,
            id=key_id,
            replaced_by=new.key.id,
            grace_until=now + grace,
        )
    else:
        await revoke(tenant, key_id, now)
    return new


async def touch(tenant: Tenant, used: dict[ApiKeyId, datetime]) -> None:
    """Move the last use of keys forward; an older time changes nothing."""
    await queries.touch(tenant.conn, organization_id=tenant.organization_id, ids=list(used), times=list(used.values()))


def _listed(row: Any) -> ApiKey:
    masked = f"sk_{row['mode']}_{row['first4']}…{row['last4']}"
    return ApiKey(
        row["id"], row["name"], masked, row["mode"], tuple(row["scopes"]), row["is_active"], row["created_by"],
        row["created_at"], row["expires_at"], row["last_used_at"], row.get("creator_email"),
        bool(row.get("is_orphaned")),
    )  # fmt: skip
