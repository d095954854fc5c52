"""Browsers that were logged in before: a stranger's wrong guesses do not keep their owner waiting."""

import hmac
import secrets
from hashlib import sha256

from api.call import PublicCall
from db.accounts import email_key
from settings import Settings

COOKIE = "mts_device"
_YEAR = 31_536_000  # seconds


def known(call: PublicCall, email: str) -> str | None:
    """The id of this browser when it was logged in to the account of this e-mail before."""
    device, _, signature = call.request.cookies.get(COOKIE, "").partition(".")
    expected = _signature(call.settings, email, device)
    return device if device and hmac.compare_digest(signature.encode(), expected.encode()) else None


def remember(call: PublicCall, email: str) -> None:
    """Let the browser keep a signed note of this log-in; it opens nothing."""
    device = known(call, email) or secrets.token_urlsafe(16)
    secure = "; Secure" if call.settings.base_url.startswith("https:") else ""
    note = f"{COOKIE}={device}.{_signature(call.settings, email, device)}"
    call.add_header("Set-Cookie", f"{note}; Path=/; Max-Age={_YEAR}; HttpOnly; SameSite=Strict{secure}")


def _signature(settings: Settings, email: str, device: str) -> str:
    text = f"device\n{email_key(email)}\n{device}".encode()
    return hmac.new(settings.jwt_secret.get_secret_value().encode(), text, sha256).hexdigest()
