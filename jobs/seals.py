"""Ids that travel through other people's hands and come back: sealed, so that nobody can make or change one.

A seal is written in letters and digits of one case, because mail servers may change the case of an address.
"""

import base64
import binascii
import hmac
from hashlib import sha256
from uuid import UUID

from pydantic import SecretStr


def seal(secret: SecretStr, purpose: str, *ids: UUID, strength: int = 16) -> str:
    """The ids with a proof of `strength` bytes that we wrote them for this purpose."""
    written = b"".join(each.bytes for each in ids)
    return base64.b32encode(written + _proof(secret, purpose, written, strength)).decode().rstrip("=").lower()


def opened(secret: SecretStr, purpose: str, text: str, *, strength: int = 16) -> tuple[UUID, ...]:
    """The ids in a seal. Raises ValueError for whatever we did not write for this purpose."""
    try:
        raw = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        raise ValueError("not a seal") from None
    written, proof = raw[:-strength], raw[-strength:]
    if len(written) % 16 or not hmac.compare_digest(proof, _proof(secret, purpose, written, strength)):
        raise ValueError("not a seal of ours")
    return tuple(UUID(bytes=written[start : start + 16]) for start in range(0, len(written), 16))


def _proof(secret: SecretStr, purpose: str, written: bytes, strength: int) -> bytes:
    key = hmac.digest(secret.get_secret_value().encode(), f"seal: {purpose}".encode(), sha256)
    return hmac.digest(key, written, sha256)[:strength]
