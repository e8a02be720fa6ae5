"""Connections to addresses that people named: to the address that was looked at, and to no private one by mistake."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tfx_pedigree.errors import UnavailableError

if TYPE_CHECKING:
    from urllib3 import HTTPConnectionPool


# Of IPv6, only this much is given to networks that all the world reaches.
_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def pool_of(url: str, *, private: bool) -> HTTPConnectionPool:
    """To the address that was looked at, and to no other one that the name may mean a moment later. UnavailableError
    where it has none, or a private one that is not allowed."""
    import urllib3  # noqa: PLC0415  slow to load, and only senders need it

    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "http":
        return urllib3.HTTPConnectionPool(_address(host, parts.port or 80, private=private), parts.port or 80)
    named: dict[str, Any] = {"server_hostname": host, "assert_hostname": host}
    address = _address(host, parts.port or 443, private=private)
    return urllib3.HTTPSConnectionPool(address, parts.port or 443, cert_reqs="CERT_REQUIRED", **named)


def _address(host: str, port: int, *, private: bool) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnavailableError(f"{host} has no address: {getattr(error, 'strerror', None) or error}") from error
    addresses = [str(one[4][0]) for one in found]
    if not private and (hidden := not_public(addresses)):
        raise UnavailableError(f"{host} leads to {hidden}, which is not public; nothing was sent there")
    return addresses[0]


def not_public(addresses: Sequence[str]) -> str | None:
    """The first one that belongs to this machine or to a network of one's own."""
    return next((text for text in addresses if not _is_public(text.partition("%")[0])), None)


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        held = _ipv4_in(address)
        if held is None:
            return address in _UNICAST and address.is_global
        address = held
    return address.is_global and not address.is_multicast


def _ipv4_in(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Where packets for it end, if gateways lead them to IPv4."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"


def host_of(url: str) -> str:
    """As the header `host` has it."""
    return urlsplit(url).netloc
