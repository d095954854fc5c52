"""Reads SMTP_URL: where the mail server is, how the connection is protected and who we are there."""

import ipaddress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

Protection = Literal["none", "starttls", "tls"]

_SCHEMES: dict[str, tuple[Protection, int]] = {
    "smtp": ("none", 25),
    "smtp+starttls": ("starttls", 587),
    "smtps": ("tls", 465),
}


@dataclass(frozen=True, slots=True)
class SmtpAddress:
    """A mail server. With "starttls" a server that offers none is not talked to."""

    host: str
    port: int
    protection: Protection
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def parse_smtp_url(url: str) -> SmtpAddress:
    """Read `smtp://`, `smtp+starttls://` or `smtps://[USER:PASSWORD@]HOST[:PORT]`, parts percent-encoded where needed.

    Raises ValueError, never quoting the URL, when it is malformed or would send a password over an open network.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError("expected smtp://, smtp+starttls:// or smtps:// with a host")
    protection, port = _SCHEMES[parts.scheme]
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    if username and protection == "none" and not _is_loopback(parts.hostname):
        raise ValueError("a password must not cross the network in the open: use smtp+starttls:// or smtps://")
    return SmtpAddress(parts.hostname, _port(parts) or port, protection, username, password)


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        # The library's text would quote what stands after the colon: half a password, when its "/" is not encoded.
        raise ValueError(
            "the port is not a number; special characters of a password are to be percent-encoded"
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
