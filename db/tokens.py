"""Single-use tokens in e-mails: 256 random bits, kept as their SHA-256 alone, bound to their purpose."""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal

from db.errors import Unauthorized
from db.statements import load
from db.types import AccountId, new_id

queries = load("accounts")

Purpose = Literal["email_verification", "password_reset"]
LIFETIMES: dict[Purpose, timedelta] = {"email_verification": timedelta(hours=24), "password_reset": timedelta(hours=1)}


def make() -> str:
    """A new token of 256 random bits, 43 characters that fit in a link."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """What is kept of a token; its 256 bits need no salt and no slow hash."""
    return sha256(token.encode()).digest()


def invalid() -> Unauthorized:
    """The one answer for a token that is unknown, used, replaced, expired or of another purpose."""
    return Unauthorized("INVALID_TOKEN", "This link is invalid, was used, or has expired; ask for a new one")


async def issue(conn: Any, account_id: AccountId, purpose: Purpose, now: datetime) -> str:
    """A new token for a person; older ones of its purpose are void. Only the worker may, just before it mails it."""
    token = make()
    await queries.issue_token(
        conn, id=new_id(), account_id=account_id, type=purpose, token_hash=digest(token),
        expires_at=now + LIFETIMES[purpose],
    )  # fmt: skip
    return token


async def peek(conn: Any, token: str, purpose: Purpose, now: datetime) -> AccountId:
    """Whose token this is, without using it up; raises Unauthorized INVALID_TOKEN."""
    account_id = await queries.peek_token(conn, token_hash=digest(token), type=purpose, now=now)
    if account_id is None:
        raise invalid()
    return AccountId(account_id)


async def consume(conn: Any, token: str, purpose: Purpose, now: datetime) -> AccountId:
    """Use a token up within the caller's transaction; of two at once one raises Unauthorized INVALID_TOKEN."""
    account_id = await queries.consume_token(conn, token_hash=digest(token), type=purpose, now=now)
    if account_id is None:
        raise invalid()
    return AccountId(account_id)
