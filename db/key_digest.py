"""What is kept of an API key: its SHA-256, or with a pepper its HMAC, so that a stolen directory proves no key."""

import hmac
import re
from hashlib import sha256

SHAPE = re.compile(r"sk_(live|test)_[0-9a-f]{64}")


class KeyDigest:
    """Makes digests; the same for every process of an installation."""

    def __init__(self, pepper: str | None = None) -> None:
        self._pepper = pepper.encode() if pepper else None

    def __call__(self, key: str) -> bytes:
        """The 32 bytes that the directory finds a key by."""
        if self._pepper is None:
            return sha256(key.encode()).digest()
        return hmac.digest(self._pepper, key.encode(), "sha256")


plain = KeyDigest()
