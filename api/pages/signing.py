"""Short texts that the browser carries for us – a visit, a notice, a form's token – signed against forgery."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from settings import Settings


def signature(settings: Settings, purpose: str, text: str) -> str:
    """What only we can make of `text`; another purpose has another signature."""
    key = hmac.digest(settings.jwt_secret.get_secret_value().encode(), f"pages:{purpose}".encode(), "sha256")
    return urlsafe_b64encode(hmac.digest(key, text.encode(), sha256)).decode().rstrip("=")


def sign(settings: Settings, purpose: str, text: str) -> str:
    """The text with its signature, in characters that a cookie may hold."""
    packed = urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return f"{packed}.{signature(settings, purpose, packed)}"


def signed_text(settings: Settings, purpose: str, value: str | None) -> str | None:
    """The text behind what `sign` made; None for anything else."""
    packed, _, given = (value or "").partition(".")
    if not given or not hmac.compare_digest(given.encode(), signature(settings, purpose, packed).encode()):
        return None
    return urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode()
