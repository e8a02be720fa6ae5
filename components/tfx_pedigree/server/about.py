"""What the server says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from tfx_pedigree import __version__
from tfx_pedigree.registry import Registry
from tfx_pedigree.wire import About, ServerApi


@dataclass(frozen=True)
class AboutServer(ServerApi):
    """`registry` is that of whoever asks."""

    registry: Registry

    def about(self) -> About:
        return About(self.registry.actor, self.registry.identity, __version__)
