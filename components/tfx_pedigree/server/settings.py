"""What a server is started with."""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from tfx_pedigree.errors import InvalidInputError

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class TrustedProxy:
    """What a proxy in these networks says in the header `header` about who asks is taken for true; from nobody else.

    Without a header, they say only from which address a request comes.
    """

    networks: tuple[str, ...]
    header: str = "x-forwarded-user"

    @functools.cached_property
    def _known(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        try:
            return tuple(ipaddress.ip_network(text, strict=False) for text in self.networks)
        except ValueError as error:
            raise InvalidInputError(
                f"{error}. Say where the proxy is as an address or a network: 10.0.0.7 or 10.0.0.0/24."
            ) from None

    def trusts(self, address: str) -> bool:
        try:
            peer = ipaddress.ip_address(address)
        except ValueError:  # a socket in a folder has none
            return False
        return any(peer in network for network in self._known)


@dataclass(frozen=True)
class RolloutDriver:
    """As whom rollouts are driven, and by which config: its section `serving:` says where models are served."""

    actor: str
    config: Path


@dataclass(frozen=True)
class ServerSettings:
    """`hosts` are the names by which the server may be called, without a port; the loopback names always count.

    `public_url` is where people find it, if a proxy stands before it. `workers` are processes. With `everybody`,
    whoever reaches the server acts as this principal: for one person's own computer.
    """

    registry: str = field(repr=False)
    store: str | None = field(default=None, repr=False)
    host: str = "127.0.0.1"
    port: int = 8321
    workers: int = 1
    hosts: tuple[str, ...] = ()
    public_url: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    everybody: str | None = None
    proxy: TrustedProxy | None = None
    issuers: Path | None = None
    controller: RolloutDriver | None = None
    largest_object: int = 64 << 30

    @property
    def allowed_hosts(self) -> frozenset[str]:
        return frozenset(name.lower() for name in (*LOOPBACK, *self.hosts, self.host))

    @property
    def scheme(self) -> str:
        return "https" if self.certificate else "http"
