"""Session tokens by ES256: two keys live, each for its one algorithm, and the public halves for whoever verifies."""

import base64
import hmac
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from pydantic import SecretStr

from api import health, jwks, tokens
from api.app import create_app
from api.signing_keys import new_key
from db.errors import Unauthorized
from settings import Settings, SettingsError
from tests.http.server import serving
from tests.http.test_tokens import IDS, NOW, SECRET, SETTINGS

OLD, NEW = new_key("2026-a"), new_key("2026-b")
HOUR = timedelta(hours=1)


def key_set(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys})


def settings_with(*keys: dict[str, Any]) -> Settings:
    return SETTINGS.model_copy(update={"jwt_keys": SecretStr(key_set(*keys))})


def public(key: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name != "d"}


def issued(settings: Settings) -> str:
    return tokens.issue(settings, **IDS, now=NOW)[0]


def refused(settings: Settings, token: str, later: timedelta = timedelta()) -> bool:
    with pytest.raises(Unauthorized) as caught:
        tokens.read(settings, token, NOW + later)
    return caught.value.code == "INVALID_TOKEN"


def part(token: str, number: int) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[number] + "=="))
    return content


def forged(key: dict[str, Any], header: dict[str, Any] | None = None, **changes: object) -> str:
    content = {name: value for name, value in (part(issued(SETTINGS), 1) | changes).items() if value is not None}
    made_for = {"alg": "ES256", "kid": key["kid"]}
    return jwt.encode(made_for | (header or {}), content, ECKey.import_key(key), algorithms=["ES256"])


def test_the_first_key_signs_and_its_id_stands_in_the_token() -> None:
    token = issued(settings_with(NEW, OLD))
    assert part(token, 0) == {"alg": "ES256", "typ": "JWT", "kid": "2026-b"}
    assert tokens.read(settings_with(NEW), token, NOW).session_id == IDS["session_id"]


def test_a_rotation_keeps_both_keys_live_and_ends_with_the_old_one() -> None:
    before, after = issued(settings_with(OLD)), issued(settings_with(NEW, public(OLD)))
    for token in (before, after):
        tokens.read(settings_with(NEW, public(OLD)), token, NOW)
    assert refused(settings_with(NEW), before)
    assert refused(settings_with(OLD), after)


def test_a_changed_file_is_followed_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    settings = SETTINGS.model_copy(update={"jwt_keys": SecretStr(str(file))})

    def write(text: str) -> None:
        (tmp_path / "next").write_text(text)
        (tmp_path / "next").replace(file)

    write(key_set(OLD))
    before = issued(settings)
    write(key_set(NEW, public(OLD)))
    assert part(issued(settings), 0)["kid"] == "2026-b"
    tokens.read(settings, before, NOW)
    write("half a fi")
    tokens.read(settings, before, NOW)
    write(key_set(NEW))
    assert refused(settings, before)


def test_tokens_of_the_secret_stay_valid_while_it_stands_in_the_set() -> None:
    before = issued(SETTINGS)
    assert refused(settings_with(NEW), before)
    secret = {"kty": "oct", "k": packed(SECRET.encode())}
    tokens.read(settings_with(NEW, secret), before, NOW)
    assert part(issued(settings_with(NEW, secret)), 0)["alg"] == "ES256"


def hand_made(header: dict[str, Any], secret: bytes) -> str:
    """A token whose header says whatever it says, with the HMAC of any bytes: no library would make it."""
    signed = f"{packed(json.dumps(header).encode())}.{issued(SETTINGS).split('.')[1]}"
    return f"{signed}.{packed(hmac.digest(secret, signed.encode(), 'sha256'))}"


def packed(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def test_no_key_verifies_another_algorithm() -> None:
    both = settings_with(NEW, {"kty": "oct", "k": packed(SECRET.encode())})
    tokens.read(both, hand_made({"alg": "HS256"}, SECRET.encode()), NOW)
    pem = ECKey.import_key(NEW).as_pem(private=False)
    for confused in (pem, pem.strip(), json.dumps(public(NEW)).encode(), NEW["x"].encode(), SECRET.encode()):
        for kid in ("2026-b", ["2026-b"], "", "HS256", 0):
            assert refused(both, hand_made({"alg": "HS256", "kid": kid}, confused))
        assert confused == SECRET.encode() or refused(both, hand_made({"alg": "HS256"}, confused))
    _, body, signature = issued(both).split(".")
    for algorithm in ("none", "HS256", "HS512", "ES384", "ES256K", "RS256"):
        head = packed(json.dumps({"alg": algorithm, "kid": "2026-b"}).encode())
        assert refused(both, f"{head}.{body}.{signature}")
        assert refused(both, f"{head}.{body}.")


def test_a_key_in_the_token_itself_or_an_unknown_one_is_not_believed() -> None:
    ours, theirs = settings_with(OLD), new_key("2026-a")
    assert refused(ours, forged(theirs))
    assert refused(ours, forged(theirs, {"jwk": public(theirs)}))
    assert refused(ours, forged(theirs | {"kid": "unknown"}))
    assert refused(ours, forged(OLD, {"kid": "unknown"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example.com"},
        {"aud": "other"},
        {"aud": ["mts"]},
        {"exp": int(NOW.timestamp())},
        {"iat": int(NOW.timestamp()) + 60},
        {"nbf": int(NOW.timestamp()) + 60},
        {"nbf": "soon"},
        *({name: None} for name in ("iss", "aud", "sub", "user_id", "organization_id", "jti", "iat", "exp")),
    ],
)
def test_a_well_signed_token_with_a_wrong_claim_is_refused(changes: dict[str, Any]) -> None:
    ours = settings_with(OLD)
    tokens.read(ours, forged(OLD), NOW)
    assert refused(ours, forged(OLD, None, **changes))


def test_every_changed_character_is_noticed() -> None:
    ours, token = settings_with(OLD), issued(settings_with(OLD))
    for place in range(0, len(token), 7):
        other = "A" if token[place] != "A" else "B"
        changed = token[:place] + other + token[place + 1 :]
        if place < len(token) - 2:  # the last characters carry unused bits
            assert refused(ours, changed)


def test_a_token_expires() -> None:
    ours = settings_with(OLD)
    assert refused(ours, issued(ours), timedelta(days=7))


@pytest.mark.parametrize(
    "given",
    [
        "{", "{}", '{"keys": []}', "/no/such/file", "[]",
        key_set(public(OLD)), key_set(OLD, OLD | {"x": NEW["x"]}), key_set(OLD, NEW | {"kid": "2026-a"}),
        key_set({name: value for name, value in OLD.items() if name != "kid"}),
        key_set(OLD | {"alg": "ES512"}), key_set(OLD | {"use": "enc"}),
        key_set(OLD, {"kty": "oct", "k": "c2hvcnQ"}), key_set({"kty": "oct", "k": "A" * 43}),
        key_set(ECKey.generate_key("P-384", {"kid": "x"}).as_dict(private=True)),
    ],
)  # fmt: skip
def test_a_set_that_cannot_be_used_stops_the_start_and_is_not_repeated(given: str) -> None:
    with pytest.raises(SettingsError, match="JWT_KEYS") as caught:
        create_app(SETTINGS.model_copy(update={"jwt_keys": SecretStr(given)}))
    assert "Expected: JWK set" in str(caught.value)
    assert OLD["d"] not in str(caught.value)


def test_the_public_keys_are_published_and_verify_what_we_sign(settings: Settings) -> None:
    ours = settings.model_copy(update={"jwt_keys": SecretStr(key_set(NEW, OLD))})
    with serving(create_app(ours, [health.router, jwks.router])) as client:
        answer = client.get("/.well-known/jwks.json")
    assert answer.headers["content-type"] == "application/jwk-set+json"
    assert answer.headers["cache-control"] == "public, max-age=300"
    keys = answer.json()["keys"]
    assert [set(key) for key in keys] == [{"kty", "crv", "x", "y", "kid", "use", "alg"}] * 2
    verified = jwt.decode(issued(ours), KeySet.import_key_set(answer.json()), algorithms=["ES256"])
    assert verified.claims["jti"] == str(IDS["session_id"])


def test_a_secret_is_never_published(settings: Settings) -> None:
    with serving(create_app(settings, [health.router, jwks.router])) as running:
        assert running.get("/.well-known/jwks.json").json() == {"keys": []}
