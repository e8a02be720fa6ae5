"""Addresses of servers: which there are, and what they must not hold."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.secrets import masked
from tfx_pedigree.text import plain

TOKEN_VARIABLE = "PEDIGREE_TOKEN"  # noqa: S105  a name
PLAIN_HTTP_VARIABLE = "PEDIGREE_ALLOW_HTTP"
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")


@dataclass(frozen=True)
class ServerAddress:
    """`url` has no slash at its end, and nothing that must not be shown. The token goes nowhere but there."""

    url: str
    token: str | None = field(repr=False)

    @classmethod
    def of(cls, address: str, token: str | None = None, environ: Mapping[str, str] | None = None) -> ServerAddress:
        """Where no token is given, it is that of the environment."""
        environ = os.environ if environ is None else environ
        found = _split(address)
        if found.scheme == "http" and not _is_loopback(found.hostname or "") and not environ.get(PLAIN_HTTP_VARIABLE):
            raise InvalidInputError(
                f"{masked(address)} is not encrypted: a token sent there could be read on the way. Use https://, or "
                f"set {PLAIN_HTTP_VARIABLE}=1 where the network itself is trusted."
            )
        token = (token or environ.get(TOKEN_VARIABLE, "")).strip() or None
        if token is not None and not _TOKEN.fullmatch(token):
            raise InvalidInputError(
                f"The token holds something that no token has, such as a space or a line break. Set {TOKEN_VARIABLE} "
                "again."
            )
        return cls(f"{found.scheme}://{found.netloc}{found.path}".rstrip("/"), token)


def _split(address: str) -> SplitResult:
    try:
        found = urlsplit(address)
        _ = found.port
    except ValueError:
        raise InvalidInputError(f"{plain(masked(address), 200)} is no address of a server. {_HELP}") from None
    if found.username is not None or found.password is not None:
        raise InvalidInputError(
            f"The server's address {masked(address)} holds a user or a password. Leave it out, and set the token as "
            f"the environment variable {TOKEN_VARIABLE}."
        )
    if not found.hostname or found.query or found.fragment or not address.isascii():
        raise InvalidInputError(f"{plain(masked(address), 200)} is no address of a server. {_HELP}")
    return found


_HELP = "Write https://HOST or https://HOST:PORT, with a path only where a proxy puts the server below one."


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
