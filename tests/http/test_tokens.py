"""Session tokens: signed by us, for us, for a while – or not valid."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from api import tokens
from db.errors import Unauthorized
from db.types import AccountId, OrganizationId, SessionId, UserId, new_id, system_clock
from settings import Settings

NOW = system_clock.now().replace(microsecond=0)
SECRET = "a test's secret of 32 characters"
SETTINGS = Settings.from_env(
    {
        "DATABASE_URL": "postgresql://app_api@127.0.0.1/none",
        "REDIS_URL": "redis://127.0.0.1",
        "SMTP_URL": "smtp://127.0.0.1:9",
        "JWT_SECRET": SECRET,
        "BASE_URL": "https://api.example.com",
    }
)
IDS: dict[str, Any] = {
    "account_id": AccountId(new_id()),
    "user_id": UserId(new_id()),
    "organization_id": OrganizationId(new_id()),
    "session_id": SessionId(new_id()),
}


def refused(token: str, later: timedelta = timedelta()) -> bool:
    """Whether a token is refused with the one answer that tells nothing."""
    with pytest.raises(Unauthorized) as caught:
        tokens.read(SETTINGS, token, NOW + later)
    return caught.value.code == "INVALID_TOKEN"


def forged(secret: str = SECRET, header: dict[str, Any] | None = None, **changes: object) -> str:
    """A token of our form with some claims changed or (None) left out."""
    token, _ = tokens.issue(SETTINGS, **IDS, now=NOW)
    content = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    content = {name: value for name, value in (content | changes).items() if value is not None}
    return jwt.encode(header or {"alg": "HS256"}, content, OctKey.import_key(secret))


def test_a_token_names_account_seat_organization_and_session() -> None:
    token, expires_at = tokens.issue(SETTINGS, **IDS, now=NOW)
    claims = tokens.read(SETTINGS, token, NOW)
    assert {name: getattr(claims, name) for name in IDS} == IDS
    assert claims.expires_at == expires_at == NOW + timedelta(days=7)


def test_a_token_ends_with_its_session() -> None:
    token, expires_at = tokens.issue(SETTINGS, **IDS, now=NOW, expires_at=NOW + timedelta(hours=1))
    assert expires_at == NOW + timedelta(hours=1)
    tokens.read(SETTINGS, token, NOW + timedelta(minutes=59))
    assert refused(token, timedelta(hours=1))


def test_what_another_signed_or_meant_for_another_is_refused() -> None:
    tokens.read(SETTINGS, forged(), NOW)
    assert refused(forged(secret="another secret of more than 32 characters"))
    assert refused(forged(iss="https://other.example.com"))
    assert refused(forged(aud="other"))
    assert refused(forged(aud=["mts"]))


def test_missing_and_malformed_claims_are_refused() -> None:
    for name in ("iss", "aud", "sub", "user_id", "organization_id", "jti", "iat", "exp"):
        assert refused(forged(SECRET, None, **{name: None}))
    for changes in ({"sub": "x"}, {"user_id": 5}, {"exp": "soon"}, {"exp": 10**30}, {"iat": int(NOW.timestamp()) + 60}):
        assert refused(forged(**changes))


def test_another_algorithm_is_refused() -> None:
    head, content, _ = forged().split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    assert refused(f"{none}.{content}.")
    assert refused(f"{head}.{content}.")
    header = base64.urlsafe_b64encode(b'{"alg":"HS512"}').rstrip(b"=").decode()
    assert refused(f"{header}.{content}.{forged().split('.')[2]}")


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "x" * 3000, "\u00e9.\u00e9.\u00e9"])
def test_what_is_no_token_is_refused(text: str) -> None:
    assert refused(text)


def test_a_token_that_was_good_is_refused_once_it_ends_and_by_whom_it_is_not_for() -> None:
    """It is known again by its digest; that must not make it live longer, nor elsewhere."""
    token, expires_at = tokens.issue(SETTINGS, **IDS, now=NOW)
    for _ in range(2):
        assert tokens.read(SETTINGS, token, NOW).session_id == IDS["session_id"]
    assert refused(token, expires_at - NOW)
    elsewhere = SETTINGS.model_copy(update={"base_url": "https://elsewhere.example.com"})
    with pytest.raises(Unauthorized):
        tokens.read(elsewhere, token, NOW)
    assert refused(token[:-2] + ("AA" if token[-2:] != "AA" else "BB"))
