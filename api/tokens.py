"""Session tokens: signed JWTs that name the account, its seat and its session."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError

from api.signing_keys import ALGORITHMS, signing_keys
from db.errors import Unauthorized
from db.types import AccountId, OrganizationId, SessionId, UserId
from settings import Settings

AUDIENCE = "mts"
_LEEWAY = 5  # seconds of clock skew between processes
_MAX_LENGTH = 2048  # characters; ours are about 500


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says. Rights are never read from here, only from the row of the seat."""

    account_id: AccountId
    user_id: UserId
    organization_id: OrganizationId
    session_id: SessionId
    issued_at: datetime
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

    Raises Unauthorized INVALID_TOKEN for whatever is wrong with it; the answer does not say what.
    """
    try:
        if len(token) > _MAX_LENGTH:
            raise ValueError("too long")
        keys = signing_keys(settings)
        content = jwt.decode(token, lambda found: keys.verifier(found.headers()), algorithms=ALGORITHMS).claims
        claims = _claims(content)
        _check(settings, content, claims, now.timestamp())
        return claims
    except (JoseError, ValueError, KeyError, TypeError, OverflowError):
        raise Unauthorized("INVALID_TOKEN", "The token is invalid or has expired") from None


def _claims(content: dict[str, Any]) -> Claims:
    return Claims(
        account_id=AccountId(UUID(str(content["sub"]))),
        user_id=UserId(UUID(str(content["user_id"]))),
        organization_id=OrganizationId(UUID(str(content["organization_id"]))),
        session_id=SessionId(UUID(str(content["jti"]))),
        issued_at=datetime.fromtimestamp(content["iat"], UTC),
        expires_at=datetime.fromtimestamp(content["exp"], UTC),
    )


def _check(settings: Settings, content: dict[str, Any], claims: Claims, now: float) -> None:
    if content["iss"] != settings.base_url or content["aud"] != AUDIENCE:
        raise ValueError("issued by or for another")
    begins = max(content["iat"], content.get("nbf", 0))
    if claims.expires_at.timestamp() <= now or begins > now + _LEEWAY:
        raise ValueError("not valid now")
