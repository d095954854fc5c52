"""Session tokens: signed JWTs that name the account, its seat and its session."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError

from api.signing_keys import ALGORITHMS, SigningKeys, signing_keys
from db.errors import Unauthorized
from db.types import AccountId, OrganizationId, SessionId, UserId
from settings import Settings

AUDIENCE = "mts"
_LEEWAY = timedelta(seconds=5)  # clock skew between processes
_MAX_LENGTH = 2048  # characters; ours are about 500


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says. Rights are never read from here, only from the row of the seat."""

    account_id: AccountId
    user_id: UserId
    organization_id: OrganizationId
    session_id: SessionId
    begins_at: datetime
    expires_at: datetime


def issue(
    settings: Settings,
    *,
    account_id: AccountId,
    user_id: UserId,
    organization_id: OrganizationId,
    session_id: SessionId,
    now: datetime,
    expires_at: datetime | None = None,
) -> tuple[str, datetime]:
    """Sign a token for a session; it lives `session_days`, unless the session ends at `expires_at`.

    Returns the token and the time it expires.
    """
    expires = (expires_at or now + timedelta(days=settings.session_days)).replace(microsecond=0)
    content: dict[str, Any] = {
        "iss": settings.base_url,
        "aud": AUDIENCE,
        "sub": str(account_id),
        "user_id": str(user_id),
        "organization_id": str(organization_id),
        "jti": str(session_id),
        "iat": int(now.timestamp()),
        "exp": int(expires.timestamp()),
    }
    kid, algorithm, key = signing_keys(settings).signer
    header = {"alg": algorithm, "typ": "JWT"} | ({"kid": kid} if kid else {})
    return jwt.encode(header, content, key, algorithms=[algorithm]), expires


def read(settings: Settings, token: str, now: datetime) -> Claims:
    """Check the signature, by the key and the algorithm that the key is for, and every claim of a token.

    A token that was verified before is known again by its digest; its times are checked each time.
    Raises Unauthorized INVALID_TOKEN for whatever is wrong with it; the answer does not say what.
    """
    try:
        if len(token) > _MAX_LENGTH:
            raise ValueError("too long")
        keys = signing_keys(settings)
        digest = sha256(f"{settings.base_url}\n{token}".encode()).digest()
        claims: Claims | None = keys.verified(digest)
        if claims is None:
            claims = _verified(settings, keys, token)
            keys.keep(digest, claims)
        if claims.expires_at <= now or claims.begins_at > now + _LEEWAY:
            raise ValueError("not valid now")
        return claims
    except (JoseError, ValueError, KeyError, TypeError, OverflowError):
        raise Unauthorized("INVALID_TOKEN", "The token is invalid or has expired") from None


def _verified(settings: Settings, keys: SigningKeys, token: str) -> Claims:
    content = jwt.decode(token, lambda found: keys.verifier(found.headers()), algorithms=ALGORITHMS).claims
    if content["iss"] != settings.base_url or content["aud"] != AUDIENCE:
        raise ValueError("issued by or for another")
    return _claims(content)


def _claims(content: dict[str, Any]) -> Claims:
    return Claims(
        account_id=AccountId(UUID(str(content["sub"]))),
        user_id=UserId(UUID(str(content["user_id"]))),
        organization_id=OrganizationId(UUID(str(content["organization_id"]))),
        session_id=SessionId(UUID(str(content["jti"]))),
        begins_at=datetime.fromtimestamp(max(content["iat"], content.get("nbf", 0)), UTC),
        expires_at=datetime.fromtimestamp(content["exp"], UTC),
    )
