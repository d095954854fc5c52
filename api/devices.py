"""Browsers that were logged in before: a stranger's wrong guesses do not keep their owner waiting."""

import hmac
import re
import secrets
from hashlib import sha256

from api.address import prefix
from api.call import PublicCall
from db import sessions
from db.accounts import email_key
from db.pool import Tenant
from db.team import Member
from db.types import SessionId
from settings import Settings

COOKIE = "mts_device"
_YEAR = 31_536_000  # seconds


def known(call: PublicCall, email: str) -> str | None:
    """The id of this browser when it was logged in to the account of this e-mail before."""
    device, _, signature = call.request.cookies.get(COOKIE, "").partition(".")
    expected = _signature(call.settings, email, device)
    return device if device and hmac.compare_digest(signature.encode(), expected.encode()) else None


async def is_new(call: PublicCall, tenant: Tenant, member: Member, session_id: SessionId) -> bool:
    """Whether a person logs in from where she never was before: neither this browser, nor its kind in this network.

    Nothing is new to somebody without a past, such as one who registers now.
    """
    if known(call, member.email):
        return False
    former = await sessions.former_devices(tenant.conn, member.account_id, session_id)
    here = (_kind(call.exchange.header(b"user-agent")), prefix(call.address))
    return bool(former) and here not in {(_kind(each.user_agent), prefix(each.address or "")) for each in former}


def remember(call: PublicCall, email: str) -> None:
    """Let the browser keep a signed note of this log-in; it opens nothing."""
    device = known(call, email) or secrets.token_urlsafe(16)
    secure = "; Secure" if call.settings.base_url.startswith("https:") else ""
    note = f"{COOKIE}={device}.{_signature(call.settings, email, device)}"
    call.add_header("Set-Cookie", f"{note}; Path=/; Max-Age={_YEAR}; HttpOnly; SameSite=Strict{secure}")


def _kind(user_agent: str | None) -> str:
    """The device's own words without its versions, which change every month."""
    return re.sub(r"[\d._]+", "", (user_agent or "")[:300])


def _signature(settings: Settings, email: str, device: str) -> str:
    text = f"device\n{email_key(email)}\n{device}".encode()
    return hmac.new(settings.jwt_secret.get_secret_value().encode(), text, sha256).hexdigest()
