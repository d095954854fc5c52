"""Where a request comes from, and the prefix under which addresses are limited."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.types import Scope

UNKNOWN = "0.0.0.0"  # noqa: S104 - a client without an address, as over a Unix socket


def client_address(scope: Scope, proxies: tuple[IPv4Network | IPv6Network, ...]) -> str:
    """The right-most address that is not one of our proxies; X-Forwarded-For counts only when the peer is one."""
    client = scope.get("client")
    peer: str = client[0] if client else UNKNOWN
    if not proxies or not _within(peer, proxies):
        return peer
    for hop in reversed(_forwarded(scope)):
        if _canonical(hop) is None:
            break
        peer = hop
        if not _within(hop, proxies):
            break
    return _canonical(peer) or UNKNOWN


def prefix(address: str) -> str:
    """The network under which an address is limited: /24 for IPv4, /64 for IPv6."""
    known = _canonical(address)
    if known is None:
        return UNKNOWN
    size = 64 if ":" in known else 24
    return str(ip_network((known, size), strict=False))


def networks(names: Iterable[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Parse `trusted_proxies`; raises ValueError for what is not an address or network."""
    return tuple(ip_network(name, strict=False) for name in names)


def _forwarded(scope: Scope) -> list[str]:
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return [hop.strip() for hop in ",".join(lines).split(",") if hop.strip()]


@lru_cache(maxsize=4096)
def _canonical(address: str) -> str | None:
    try:
        parsed = ip_address(address.strip("[]"))
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)


@lru_cache(maxsize=4096)
def _within(address: str, proxies: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    known = _canonical(address)
    return known is not None and any(ip_address(known) in network for network in proxies)
