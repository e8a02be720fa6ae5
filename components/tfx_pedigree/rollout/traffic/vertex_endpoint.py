"""What a Vertex AI endpoint says, checked field by field, and what of it is Pedigree's.

A deployed model is a version's only where its display name holds the digest and the model that it was deployed from has
the id that this digest makes. All others have no identity here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfx_pedigree.errors import UnavailableError
from tfx_pedigree.rollout.traffic.api import WHOLE, ArmState, Readiness, RouteState

STEP = WHOLE // 100  # whole percents
EPOCH, FALLBACK = "pedigree-epoch", "pedigree-fallback"
_ID = re.compile(r"[0-9]{1,20}")
_WHOLE = re.compile(r"[0-9]{1,18}")
_TITLE = re.compile(r"pedigree (sha256:[0-9a-f]{64})")
_MODEL = re.compile(r"projects/[^/]+/locations/[^/]+/models/([^/@]+)(@1)?")
_MOST = 1000


@dataclass(frozen=True)
class Deployed:
    id: str
    digest: str | None


@dataclass(frozen=True)
class EndpointState:
    deployed: tuple[Deployed, ...]
    percents: Mapping[str, int]
    labels: Mapping[str, str]
    etag: str

    @property
    def epoch(self) -> int | None:
        text = self.labels.get(EPOCH, "")
        return int(text) if _WHOLE.fullmatch(text) else None

    @property
    def fallback(self) -> str | None:
        kept = self.labels.get(FALLBACK)
        return next((one.digest for one in self.deployed if one.id == kept), None)

    def holding(self, digest: str) -> Deployed | None:
        """With two of them the one that has more of the traffic."""
        found = [one for one in self.deployed if one.digest == digest]
        return max(found, key=lambda one: self.percents.get(one.id, 0), default=None)

    def routes(self) -> RouteState:
        arms = [
            ArmState(one.id, one.digest, self.percents.get(one.id, 0) * STEP, Readiness.READY) for one in self.deployed
        ]
        return RouteState(tuple(arms), self.fallback, self.epoch, self.etag)


def title_of(digest: str) -> str:
    return f"pedigree {digest}"


def model_prefix(digest: str) -> str:
    """How the ids of a version's models begin: they have room for 160 bits of the digest."""
    return f"pedigree-{digest.removeprefix('sha256:')[-40:]}-"


def read_endpoint(found: Any, endpoint: str, title: str) -> EndpointState:
    """Vertex names a project by its number, so only the end of the name is compared."""

    def wrong(what: str) -> UnavailableError:
        return UnavailableError(f"{title} is answered with {what}.")

    if not str(found.name).endswith(f"/endpoints/{endpoint}"):
        raise wrong("another endpoint")
    if not 0 < len(found.etag) <= 256:
        raise wrong("no usable etag, without which no change could be fenced")
    if len(found.deployed_models) > _MOST or len(found.traffic_split) > _MOST:
        raise wrong(f"more than {_MOST} deployed models")
    deployed = tuple(Deployed(str(one.id), _digest(one)) for one in found.deployed_models)
    ids = [one.id for one in deployed]
    if len(set(ids)) != len(ids) or not all(_ID.fullmatch(one) for one in ids):
        raise wrong("deployed models that have no ids of their own")
    percents = {str(key): int(value) for key, value in found.traffic_split.items()}
    if any(not 0 <= value <= 100 for value in percents.values()) or sum(percents.values()) not in (0, 100):
        raise wrong("a traffic split that is not 100 % together")
    if any(percents[one] and one not in ids for one in percents):
        raise wrong("a share for a model that is not deployed")
    labels = {str(key): str(value) for key, value in found.labels.items()}
    return EndpointState(deployed, percents, labels, str(found.etag))


def _digest(one: Any) -> str | None:
    title, model = _TITLE.fullmatch(one.display_name), _MODEL.fullmatch(one.model)
    if title is None or model is None or one.model_version_id not in ("", "1"):
        return None
    return title[1] if model[1].startswith(model_prefix(title[1])) else None
