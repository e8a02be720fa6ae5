"""The registry and its lineage behind a server. Each method is an operation of the table, carried there and back."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from tfx_pedigree.client.address import ServerAddress
from tfx_pedigree.client.store import RemoteStore
from tfx_pedigree.client.transport import Transport
from tfx_pedigree.lineage.api import LineageApi
from tfx_pedigree.lineage.graph import Fragment
from tfx_pedigree.lineage.recording import Recorded, without_secrets
from tfx_pedigree.registry import RegistryApi
from tfx_pedigree.rollout.api import RolloutApi
from tfx_pedigree.wire import ABOUT, LINEAGE, REGISTRY, ROLLOUTS, About, Kind, Operation

C = TypeVar("C", bound=type)
_RECORD = next(operation for operation in LINEAGE if operation.name == "record")


def _carries(operations: Iterable[Operation]) -> Callable[[C], C]:
    """Gives a class a method for each operation, with the Protocol's signature and words."""

    def carry(kind: C) -> C:
        for operation in operations:
            if operation.name not in vars(kind):
                setattr(kind, operation.name, _method(operation))
        return kind

    return carry


def _method(operation: Operation) -> Callable[..., Any]:
    declared = getattr(operation.api, operation.name)
    signature = inspect.signature(declared)

    @functools.wraps(declared)
    def method(self: RemoteRegistry | RemoteLineage | RemoteRollouts, *arguments: Any, **named: Any) -> Any:
        given = dict(signature.bind(self, *arguments, **named).arguments)
        del given["self"]
        transport = self.transport
        return (transport.stream if operation.kind is Kind.STREAM else transport.call)(operation, given)

    return method


@_carries(REGISTRY)
class RemoteRegistry(RegistryApi):
    """A registry on a server, used by whoever the token says. Safe to use from several threads."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    @functools.cached_property
    def about(self) -> About:
        """Who asks, which registry answers, and the server's release. Asked once."""
        found: About = self.transport.call(ABOUT, {})
        return found

    @property
    def actor(self) -> str:
        """Who acts: the token's principal."""
        return self.about.principal

    @property
    def url(self) -> str:
        """The server's address."""
        return self.transport.url

    def close(self) -> None:
        """Closes the connections to the server."""
        self.transport.close()

    @property
    def lineage(self) -> RemoteLineage:
        """The lineage graph there."""
        return RemoteLineage(self)  # type: ignore[abstract]  # see `connect`

    @property
    def rollouts(self) -> RemoteRollouts:
        """Rollouts and deployments there."""
        return RemoteRollouts(self.transport)  # type: ignore[abstract]  # see `connect`

    @property
    def store(self) -> RemoteStore:
        """The bytes, through the server."""
        return RemoteStore(self.transport)


@_carries(LINEAGE)
class RemoteLineage(LineageApi):
    """The lineage graph of a registry on a server."""

    def __init__(self, registry: RemoteRegistry) -> None:
        self.registry = registry
        self.transport = registry.transport

    def record(self, fragment: Fragment, *, model: str | None = None) -> Recorded:
        """Secrets are taken out before anything is sent."""
        clean, hidden = without_secrets(fragment)
        recorded: Recorded = self.transport.call(_RECORD, {"fragment": clean, "model": model})
        return replace(recorded, hidden=recorded.hidden + hidden)


@_carries(ROLLOUTS)
class RemoteRollouts(RolloutApi):
    """Rollouts of a registry on a server, which the controller beside it carries out."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport


def connect(address: str, token: str | None = None) -> RemoteRegistry:
    """Nothing is asked of the server yet. Where no token is given, it comes from the environment."""
    # A Protocol's methods count as missing until a class defines them in its own body.
    return RemoteRegistry(Transport(ServerAddress.of(address, token)))  # type: ignore[abstract]
