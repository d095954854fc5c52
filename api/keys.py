"""API keys over HTTP: create, list, revoke, rotate, and report one that got out."""

from datetime import timedelta
from typing import Literal
from uuid import UUID

from pydantic import Field, SecretStr

from api.fields import Answer, Body, Integer, Name, PageQuery, Pagination, Timestamp
from api.http import ANY_USER, PUBLIC, Limit, Permission, PublicCall, Router, UserCall
from db import keys
from db.errors import Forbidden, Invalid
from db.types import Actor, ApiKeyId
from jobs import email
from jobs.keys import tell_owners

router = Router("/keys", tag="API keys")

Scope = Literal["messages:send", "messages:read", "usage:read"]


class NewKey(Body):
    """What a key is to be."""

    name: Name = Field(description="What the key is for")
    scopes: list[Scope] = Field(
        ["messages:send", "messages:read", "usage:read"],
        min_length=1,
        description="What the key may do; everything by default",
    )
    expires_at: Timestamp | None = Field(None, strict=False, description="When the key ends by itself")
    mode: Literal["live", "test"] = Field("live", description="A test key never charges and never sends")


class Rotation(Body):
    """How a key is replaced."""

    grace_seconds: Integer = Field(0, ge=0, le=604_800, description="How long the old key still works, at most a week")


class Report(Body):
    """A key that somebody found."""

    key: SecretStr = Field(min_length=1, max_length=200, description="The whole key as it was found")


class ListedKey(Answer):
    """A key as it is listed: its value is masked."""

    id: UUID
    name: str
    key: str = Field(description="First and last four characters of the key")
    is_active: bool
    created_at: Timestamp
    last_used_at: Timestamp | None
    expires_at: Timestamp | None
    scopes: list[str]
    mode: str
    created_by: str | None = Field(description="E-mail of the person who made it")
    is_orphaned: bool = Field(description="Whether that person has left the organization")


class CreatedKey(Answer):
    """A new key, with its value: shown this once."""

    id: UUID
    name: str
    key: str = Field(description="The key. It is shown this once and cannot be read again")
    is_active: bool
    created_at: Timestamp
    last_used_at: Timestamp | None
    expires_at: Timestamp | None
    scopes: list[str]
    mode: str


class KeyPage(Answer):
    """One page of keys."""

    keys: list[ListedKey]
    pagination: Pagination


@router.post(
    "",
    access=Permission.CREATE_KEYS,
    status=201,
    message="API key created. Store it now: it is shown this once.",
    idempotent=True,
    secret_answer=True,
    errors=("API_KEY_LIMIT_REACHED",),
)
async def create(call: UserCall, body: NewKey) -> CreatedKey:
    """Create an API key."""
    now = call.now()
    if body.expires_at is not None and body.expires_at <= now:
        raise Invalid.field("expires_at", "Must be in the future")
    new = await keys.create(
        call.tenant, name=body.name, created_by=call.seat.user_id, now=now, mode=body.mode, scopes=body.scopes,
        expires_at=body.expires_at, digest=call.resources.limits.digest,
    )  # fmt: skip
    _announce(call, new.secret)
    await email.enqueue(call.tenant, "key_created", subject_id=new.key.id, recipient=call.seat.email)
    return _created(new)


@router.get("", access=ANY_USER)
async def listing(call: UserCall, query: PageQuery) -> KeyPage:
    """List the organization's API keys, newest first, revoked ones included."""
    page, total = await keys.page(call.tenant, query.page, query.limit)
    return KeyPage(keys=[_listed(key) for key in page], pagination=Pagination.at(query, total))


@router.delete("/{key_id}", access=Permission.REVOKE_KEYS, message="API key revoked")
async def revoke(call: UserCall, key_id: UUID) -> None:
    """Revoke an API key: refused everywhere from the moment this answers."""
    await _own(call, ApiKeyId(key_id))
    await keys.revoke(call.tenant, ApiKeyId(key_id), call.now())
    call.after_commit(lambda: call.resources.limits.bump(call.organization_id))


@router.post(
    "/{key_id}/rotate",
    access=Permission.REVOKE_KEYS,
    status=201,
    message="API key rotated. Store the new one now: it is shown this once.",
    idempotent=True,
    secret_answer=True,
    errors=("CONFLICT", "API_KEY_LIMIT_REACHED"),
)
async def rotate(call: UserCall, key_id: UUID, body: Rotation) -> CreatedKey:
    """Replace an API key by a new one; the old one works through the grace and no longer."""
    await _own(call, ApiKeyId(key_id))
    grace = timedelta(seconds=body.grace_seconds)
    new = await keys.rotate(
        call.tenant, ApiKeyId(key_id), call.seat.user_id, call.now(), grace, call.resources.limits.digest
    )
    _announce(call, new.secret)
    call.after_commit(lambda: call.resources.limits.bump(call.organization_id))
    return _created(new)


@router.post(
    "/report",
    access=PUBLIC,
    message="Thank you. If this is one of our keys, it has been revoked and its owners have been told.",
    limit=Limit("key-report", 30, 600),
)
async def report(call: PublicCall, body: Report) -> None:
    """Report a key that was found in public: it is revoked. The answer is the same whatever it was."""
    limits = call.resources.limits
    found = await limits.find(body.key.get_secret_value())
    if found is None:
        return
    async with call.resources.database.tenant(
        found.organization_id, Actor("system"), request_id=call.request_id, address=call.address
    ) as tenant:
        await keys.revoke(tenant, found.api_key_id, call.now())
        await tell_owners(tenant, found.api_key_id)
    await limits.bump(found.organization_id)


async def _own(call: UserCall, key_id: ApiKeyId) -> None:
    row = await keys.get_for_update(call.tenant, key_id)
    if call.own_only and row["created_by"] != call.seat.user_id:
        raise Forbidden("PERMISSION_DENIED", "Members may revoke their own keys only")


def _announce(call: UserCall, secret: str) -> None:
    async def announce() -> None:
        call.resources.limits.created(secret)

    call.after_commit(announce)


def _listed(key: keys.ApiKey) -> ListedKey:
    return ListedKey.of(key, key=key.masked, scopes=list(key.scopes), created_by=key.creator_email)


def _created(new: keys.NewKey) -> CreatedKey:
    return CreatedKey.of(new.key, key=new.secret, scopes=list(new.key.scopes))
