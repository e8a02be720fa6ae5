"""Addresses that a server is configured with: where it is found itself, and where its issuers are."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.secrets import masked
from tfx_pedigree.text import plain

_SHOWN = 100


@dataclass(frozen=True)
class PublicUrl:
    """Where people and programs find the server, without a slash at its end. What leads back here from elsewhere, a
    link or the end of a sign-in, begins with it, whatever a request calls the server."""

    text: str
    host: str

    @classmethod
    def of(cls, text: str) -> PublicUrl:
        shown = plain(masked(text), _SHOWN)
        found = _split(text)
        if found is None or not found.hostname or found.scheme not in ("https", "http") or not text.isascii():
            raise InvalidInputError(f"--public-url {shown} is no address of a server. {_HELP}")
        if found.username is not None or found.password is not None:
            raise InvalidInputError(f"--public-url {shown} holds a user or a password, and everybody sees it. {_HELP}")
        if found.path not in ("", "/") or "?" in text or "#" in text:
            raise InvalidInputError(f"--public-url {shown} holds more than a host: the server is at its root. {_HELP}")
        if found.scheme == "http" and not is_loopback(found.hostname):
            raise InvalidInputError(
                f"--public-url {shown} is not encrypted, and people sign in there. Give its https:// address; only "
                "this computer's own may begin with http://."
            )
        return cls(f"{found.scheme}://{found.netloc.lower()}", in_a_header(found.hostname))

    def __str__(self) -> str:
        return self.text


_HELP = "Write https://HOST or https://HOST:PORT."


def check_address(address: str, what: str = "an issuer") -> str:
    """Keys and tokens must come from whom we think: over TLS, or from this computer."""
    parts = _split(address)
    plain_text = address.isascii() and address.isprintable() and " " not in address
    if parts is not None and plain_text and parts.hostname and parts.username is None and not parts.fragment:
        encrypted = parts.scheme == "https"
        if encrypted or (parts.scheme == "http" and is_loopback(parts.hostname)):
            return address
    raise InvalidInputError(f"{plain(masked(address), _SHOWN)} is no address of {what}: it must begin with https://.")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def without_port(text: str) -> str:
    """An address as proxies name it: some give the port as well."""
    text = text.strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def network_of(address: str) -> str:
    """What one client has for himself: an IPv4 address, or 2^64 of IPv6. Empty where it is no address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((int(found), 64), strict=False))
    return str(found)


def in_a_header(host: str) -> str:
    """As requests name it in `Host`: an IPv6 address has brackets there."""
    return f"[{host}]" if ":" in host else host.lower()


def _split(address: str) -> SplitResult | None:
    try:
        found = urlsplit(address)
        _ = found.port
    except ValueError:
        return None
    return found
