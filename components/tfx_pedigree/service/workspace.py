"""Everything that an address means, opened together: the registry, its lineage, and the bytes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import Registry
from tfx_pedigree.registry.transactions import utc_now
from tfx_pedigree.secrets import masked

if TYPE_CHECKING:
    from tfx_pedigree.lineage.api import LineageApi
    from tfx_pedigree.store import Store

_SERVERS = ("https://", "http://")


@dataclass(frozen=True)
class Workspace:
    """What was opened. Leaving it as a context manager closes all of it."""

    registry: Registry

    @functools.cached_property
    def lineage(self) -> LineageApi:
        """Where versions come from. Loaded when first asked for."""
        from tfx_pedigree.lineage.lineage import Lineage  # noqa: PLC0415  most commands ask nothing of it

        return Lineage(self.registry)

    @property
    def store(self) -> Store:
        """The bytes. Opened when first asked for: they may be out of reach for who only asks about versions."""
        return self.registry.store

    @property
    def store_to_fill(self) -> Store:
        """The store, for who adds bytes: it knows this registry from then on, and no other one deletes them."""
        return self.registry.store_to_fill

    def close(self) -> None:
        """Gives connections back. Nothing of it can be used afterwards."""
        self.registry.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(
    address: str | Path, *, actor: str, store: str | None = None, clock: Callable[[], datetime] = utc_now
) -> Workspace:
    """Opens what an address means: a folder, an SQLite file, or a database URL. `store` names the bytes where the
    registry does not. The clock is for tests."""
    if str(address).lower().startswith(_SERVERS):
        raise InvalidInputError(
            f"{masked(str(address))} is the address of a server, and this release of tfx-pedigree has no client for "
            "servers. Give a folder, an SQLite file, or a database such as postgresql://user@host/name."
        )
    return Workspace(Registry.open(address, actor=actor, store=store, clock=clock))
