"""The keys of session tokens: the secret of the settings, or a set of ES256 keys of which the first signs.

To change the key put a new one first into the file and keep the old one behind it: every process reads the file when it
has changed, so none needs a restart. After SESSION_DAYS no token of the old key is left, and it can go. A set may also
hold the former JWT_SECRET as an `oct` key: it signs nothing, and tokens from before the set stay valid.
"""

import json
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey

from settings import Settings, SettingsError

log = structlog.get_logger()

HS256, ES256 = "HS256", "ES256"
ALGORITHMS = [HS256, ES256]
MOST_VERIFIED = 10_000
_SHORTEST_SECRET = 32  # bytes


class SigningKey(NamedTuple):
    """A key, bound to the one algorithm it is for; the secret has no id."""

    kid: str | None
    algorithm: str
    key: OctKey | ECKey


class SigningKeys:
    """The key that signs, and those that verify, by id."""

    def __init__(self, secret: str, given: str | None) -> None:
        self._secret = SigningKey(None, HS256, OctKey.import_key(secret))
        self._given = given.strip() if given else None
        self._file = Path(self._given) if self._given and not self._given.startswith("{") else None
        self._stamp = self._stamp_now()
        self._keys = self._read()
        self._verified: OrderedDict[bytes, Any] = OrderedDict()

    @property
    def signer(self) -> SigningKey:
        """The key that signs now."""
        self._follow()
        return self._keys[0]

    def verifier(self, headers: Mapping[str, Any]) -> OctKey | ECKey:
        """The key that a token's headers name; raises ValueError for an unknown one, or one of another algorithm."""
        self._follow()
        for each in self._keys:
            if each.kid == headers.get("kid"):
                if each.algorithm != headers.get("alg"):
                    raise ValueError("the key is for another algorithm")
                return each.key
        raise ValueError("unknown key")

    def verified(self, digest: bytes) -> Any:
        """What was kept of a token that was verified by the keys of now, or None."""
        self._follow()
        return self._verified.get(digest)

    def keep(self, digest: bytes, content: object) -> None:
        """Remember what a verified token says, under its digest, until the keys change or others push it out."""
        self._verified[digest] = content
        if len(self._verified) > MOST_VERIFIED:
            self._verified.popitem(last=False)

    def published(self) -> list[dict[str, Any]]:
        """The public halves, for others who verify; a secret has none."""
        self._follow()
        return [
            {**each.key.as_dict(private=False), "kid": each.kid, "use": "sig", "alg": ES256}
            for each in self._keys
            if isinstance(each.key, ECKey)
        ]

    def _follow(self) -> None:
        """Read the file again when it has changed; what cannot be read leaves the former keys in force."""
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        self._verified.clear()
        try:
            self._keys = self._read()
        except SettingsError:
            log.error("signing_keys.unreadable")

    def _stamp_now(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        try:
            status = self._file.stat()
        except OSError:
            return 0, 0
        return status.st_mtime_ns, status.st_ino

    def _read(self) -> list[SigningKey]:
        if self._given is None:
            return [self._secret]
        try:
            text = self._file.read_text(encoding="utf-8") if self._file else self._given
            keys = [_signing_key(each) for each in json.loads(text)["keys"]]
        except (OSError, ValueError, KeyError, TypeError, JoseError) as error:
            raise _wrong("is no JWK set of P-256 keys, each with its kid, nor a file with one") from error
        if not keys or not isinstance(keys[0].key, ECKey) or not keys[0].key.is_private:
            raise _wrong("needs a private key first, which signs")
        if len({each.kid for each in keys}) < len(keys):
            raise _wrong("names two keys alike")
        return keys


def signing_keys(settings: Settings) -> SigningKeys:
    """The keys of these settings; raises SettingsError for a set that cannot be used."""
    given = settings.jwt_keys.get_secret_value() if settings.jwt_keys else None
    return _kept(settings.jwt_secret.get_secret_value(), given)


def new_key(kid: str) -> dict[str, Any]:
    """A new private key, as it stands in a set."""
    made: dict[str, Any] = ECKey.generate_key("P-256").as_dict(private=True)
    return {**made, "kid": kid, "use": "sig", "alg": ES256}


@lru_cache(maxsize=4)
def _kept(secret: str, given: str | None) -> SigningKeys:
    return SigningKeys(secret, given)


def _signing_key(given: dict[str, Any]) -> SigningKey:
    if given.get("kty") == "oct":
        if len(urlsafe_b64decode(given["k"] + "==")) < _SHORTEST_SECRET:
            raise ValueError("a secret of less than 32 bytes")
        return SigningKey(None, HS256, OctKey.import_key(given))
    if given.get("crv") != "P-256" or given.get("alg", ES256) != ES256 or given.get("use", "sig") != "sig":
        raise ValueError("not for ES256")
    kid = given["kid"]
    if not isinstance(kid, str) or not 1 <= len(kid) <= 100:
        raise ValueError("no id")
    return SigningKey(kid, ES256, ECKey.import_key(given))


def _wrong(reason: str) -> SettingsError:
    return SettingsError(f"JWT_KEYS: it {reason}. Expected: {Settings.model_fields['jwt_keys'].description}.")
