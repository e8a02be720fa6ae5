"""What a server says of itself to whoever asks with a credential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tfx_pedigree.json_form import JsonForm


@dataclass(frozen=True)
class About(JsonForm):
    """`principal` is who the credential says is asking, `registry` the registry's own name, `version` the release."""

    principal: str
    registry: str
    version: str


class ServerApi(Protocol):
    def about(self) -> About:
        """Who asks, which registry answers, and the server's release."""
        ...
