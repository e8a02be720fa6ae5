"""What a server is started with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


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
    largest_object: int = 64 << 30

    @property
    def allowed_hosts(self) -> frozenset[str]:
        return frozenset(name.lower() for name in (*LOOPBACK, *self.hosts, self.host))

    @property
    def scheme(self) -> str:
        return "https" if self.certificate else "http"
