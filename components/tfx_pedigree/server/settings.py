"""What a server is started with."""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.server.addresses import PublicUrl, in_a_header, is_loopback
from tfx_pedigree.text import plain

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_HEADER = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
# Of these, the browser or the server itself says what they are for.
_TAKEN = frozenset({"authorization", "cookie", "forwarded", "host", "origin", "x-forwarded-for"})


@dataclass(frozen=True)
class TrustedProxy:
    """From proxies in these networks it is taken for true from which address a request comes, and who asks, if the
    header that names him is given; from nobody else. A proxy that names nobody may pass on what a stranger wrote."""

    networks: tuple[str, ...]
    header: str | None = None

    def __post_init__(self) -> None:
        _ = self._known
        if self.header is not None and (not _HEADER.fullmatch(self.header) or self.header in _TAKEN):
            raise InvalidInputError(
                f"{plain(self.header)!r} is no header in which a proxy names people. Give the one that yours sets: "
                "--proxy-header x-forwarded-user, for example."
            )

    @functools.cached_property
    def _known(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        try:
            return tuple(ipaddress.ip_network(text, strict=False) for text in self.networks)
        except ValueError as error:
            raise InvalidInputError(
                f"{plain(str(error))}. Say where the proxy is as an address or a network: --proxy 10.0.0.7 or --proxy "
                "10.0.0.0/24."
            ) from None

    def trusts(self, address: str) -> bool:
        try:
            peer = ipaddress.ip_address(address)
        except ValueError:  # a socket in a folder has none
            return False
        # A server that listens on `::` sees IPv4 as addresses of IPv6.
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in network for network in self._known)


@dataclass(frozen=True)
class RolloutDriver:
    """As whom rollouts are driven, and by which config: its section `serving:` says where models are served."""

    actor: str
    config: Path


@dataclass(frozen=True)
class ServerSettings:
    """`hosts` are the names by which the server may be called, without a port; the loopback names always count.

    `public_url` is where people find it; its host is one of those names. `workers` are processes. With `everybody`,
    whoever reaches the server acts as this principal: for one person's own computer. With `presigned`, clients that
    can do so fetch bytes from the store's bucket. What does not go together is refused here, before anything is opened.
    """

    registry: str = field(repr=False)
    store: str | None = field(default=None, repr=False)
    host: str = "127.0.0.1"
    port: int = 8321
    workers: int = 1
    hosts: tuple[str, ...] = ()
    public_url: PublicUrl | None = None
    certificate: Path | None = None
    key: Path | None = None
    everybody: str | None = None
    proxy: TrustedProxy | None = None
    issuers: Path | None = None
    controller: RolloutDriver | None = None
    presigned: bool = False
    largest_object: int = 64 << 30

    def __post_init__(self) -> None:
        if (self.certificate is None) is not (self.key is None):
            raise InvalidInputError("TLS needs both files: give --certificate and --key.")
        for file in (self.certificate, self.key):
            if file is not None and not file.is_file():
                raise InvalidInputError(f"There is no file {file}, which the server needs for TLS.")
        if self.everybody is None:
            return
        if not is_loopback(self.host.strip("[]")):
            raise InvalidInputError(
                f"With --as, whoever reaches the server acts as {self.everybody}, so it listens only on this computer. "
                "Leave out --host, or leave out --as."
            )
        for name, given in (("--issuers", self.issuers), ("--proxy", self.proxy)):
            if given is not None:
                raise InvalidInputError(
                    f"With --as, whoever reaches the server acts as {self.everybody}, and {name} would say otherwise. "
                    "Leave out one of them."
                )

    @property
    def allowed_hosts(self) -> frozenset[str]:
        public = (self.public_url.host,) if self.public_url else ()
        return frozenset(name.lower() for name in (*LOOPBACK, *self.hosts, *public, in_a_header(self.host)))

    @property
    def in_the_clear(self) -> bool:
        """Whether tokens come over the network as they are: nothing says that a proxy encrypts them before."""
        said = self.proxy is not None or (self.public_url is not None and self.public_url.text.startswith("https:"))
        return not (self.certificate or said or is_loopback(self.host.strip("[]")))

    @property
    def scheme(self) -> str:
        return "https" if self.certificate else "http"
