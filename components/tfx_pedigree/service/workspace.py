"""Everything that an address means, opened together: the registry, its lineage, and the bytes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.registry import Registry, RegistryApi, utc_now
from tfx_pedigree.secrets import masked
from tfx_pedigree.settings import is_server

if TYPE_CHECKING:
    from tfx_pedigree.client import RemoteRegistry
    from tfx_pedigree.lineage.api import LineageApi
    from tfx_pedigree.rollout.api import RolloutApi
    from tfx_pedigree.store import Store


@dataclass(frozen=True)
class Workspace:
    """What was opened. Leaving it as a context manager closes all of it. `bytes_at` names the store where the registry
    does not."""

    registry: RegistryApi
    bytes_at: str | None = None

    @functools.cached_property
    def lineage(self) -> LineageApi:
        """Where versions come from. Loaded when first asked for."""
        if (far := self._far) is not None:
            return far.lineage
        from tfx_pedigree.lineage.lineage import Lineage  # noqa: PLC0415  most commands ask nothing of it

        return Lineage(self.database("The lineage"))

    @functools.cached_property
    def rollouts(self) -> RolloutApi:
        """Rollouts and deployments. Loaded when first asked for."""
        if (far := self._far) is not None:
            return far.rollouts
        from tfx_pedigree.rollout.ledger import Ledger  # noqa: PLC0415  most commands ask nothing of it

        return Ledger(self.database("The ledger of rollouts"))

    @functools.cached_property
    def store(self) -> Store:
        """The bytes. Opened when first asked for: they may be out of reach for who only asks about versions."""
        if (far := self._far) is None:
            return self.database("The store").store
        if self.bytes_at is None:
            return far.store
        from tfx_pedigree.store import Store  # noqa: PLC0415  filesystems load only for those who touch bytes

        return Store.open(self.bytes_at)

    @property
    def store_to_fill(self) -> Store:
        """The store, for who adds bytes: it knows this registry from then on, and no other one deletes them."""
        return self.registry.store_to_fill if isinstance(self.registry, Registry) else self.store

    @property
    def _far(self) -> RemoteRegistry | None:
        """The registry, if it is on a server."""
        return None if isinstance(self.registry, Registry) else cast("RemoteRegistry", self.registry)

    def database(self, what: str) -> Registry:
        """The registry with its own database, for what cannot be done without: `what` names that in the refusal."""
        if isinstance(self.registry, Registry):
            return self.registry
        raise InvalidInputError(
            f"{what} needs the registry's own database, and {self.registry.url} is a server. Run it where the server "
            "runs, with the --registry that the server was started with."
        )

    def close(self) -> None:
        """Gives connections back. Nothing of it can be used afterwards."""
        self.registry.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(
    address: str | Path,
    *,
    actor: str | None = None,
    store: str | None = None,
    token: str | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Workspace:
    """Opens what an address means: a folder, an SQLite file, a database URL, or a server (https://…). `store` names the
    bytes where the registry does not.

    Whoever opens a database says with `actor` who acts. At a server that is whom the token says; where none is given,
    it is that of the environment variable PEDIGREE_TOKEN. The clock is for tests.
    """
    if is_server(str(address)):
        if actor is not None:
            raise InvalidInputError(
                f"{actor!r} was named as actor, but {masked(str(address))} is a server: there, who acts is whom the "
                "token says. Leave the actor out."
            )
        from tfx_pedigree import client  # noqa: PLC0415  who uses a database does without

        return Workspace(client.connect(str(address), token), store)
    if actor is None:
        raise InvalidInputError(f"Say who acts on the registry {masked(str(address))}: give an actor.")
    return Workspace(Registry.open(address, actor=actor, store=store, clock=clock))
