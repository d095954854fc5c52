"""Accounts: the people who log in, whatever organizations they belong to."""

import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import asyncpg

from db.errors import Conflict
from db.statements import load
from db.types import AccountId, OrganizationId, UserId, new_id

queries = load("accounts")


@dataclass(frozen=True, slots=True)
class Account:
    """A person; the hash of the password shows in no representation."""

    id: AccountId
    email: str
    full_name: str | None
    password_hash: str = field(repr=False)
    email_verified_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SeatReference:
    """Where a person has a seat."""

    organization_id: OrganizationId
    user_id: UserId
    status: Literal["active", "suspended"]


def email_key(email: str) -> str:
    """The form in which addresses are compared: composed Unicode in lower case. The typed form is kept for display."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", email.strip()).lower())


async def find(conn: Any, email: str) -> Account | None:
    """The account of an e-mail address, however it is written."""
    row = await queries.find(conn, email_key=email_key(email))
    return Account(**row) if row else None


async def get(conn: Any, account_id: AccountId) -> Account:
    """One account; raises LookupError for an id that never was one of ours."""
    row = await queries.get(conn, id=account_id)
    if row is None:
        raise LookupError("no such account")
    return Account(**row)


async def create(conn: Any, *, email: str, full_name: str | None, password_hash: str) -> AccountId:
    """A new person. Raises Conflict EMAIL_TAKEN when the e-mail has an account, also one made at this moment."""
    account_id = AccountId(new_id())
    try:
        await queries.create(
            conn, id=account_id, email=email, email_key=email_key(email), full_name=full_name,
            password_hash=password_hash,
        )  # fmt: skip
    except asyncpg.UniqueViolationError:
        raise email_taken() from None
    return account_id


def email_taken() -> Conflict:
    """The answer to a registration with the e-mail of an account and another password."""
    return Conflict("EMAIL_TAKEN", "This e-mail address has an account; log in instead")


async def list_seats(conn: Any, account_id: AccountId) -> list[SeatReference]:
    """The organizations of a person, the last used first, then the oldest."""
    return [SeatReference(**row) async for row in queries.list_seats(conn, account_id=account_id)]


async def hold_password(conn: Any, account: Account) -> bool:
    """Whether the password is still the one that was checked; it stays so until the caller's transaction ends.

    Without it a log-in that was checked before a reset could open its session after the reset ended them all.
    """
    return bool(await queries.hold_password(conn, id=account.id, expected_hash=account.password_hash))


async def set_password(conn: Any, account_id: AccountId, new_hash: str, expected_hash: str | None = None) -> bool:
    """Replace the password's hash; False when `expected_hash` is given and the password has changed since."""
    return bool(await queries.set_password(conn, id=account_id, expected_hash=expected_hash, new_hash=new_hash))


async def mark_verified(conn: Any, account_id: AccountId, now: datetime) -> datetime:
    """Note that the person has proven to own the mailbox; returns when that was first so."""
    verified_at: datetime = await queries.mark_verified(conn, id=account_id, now=now)
    return verified_at


async def prune(conn: Any, before: datetime) -> None:
    """Forget tokens, sessions, asked-for mails and attempts that ended before the given time."""
    await queries.prune(conn, before=before)
