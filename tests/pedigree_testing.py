"""Small things that tests of several rooms use."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from typing import Any, cast

from tfx_pedigree.client import RemoteRegistry
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.registry import Candidate, Registry
from tfx_pedigree.versioning import ModelDescription, Signature, TensorSpec


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **by: float) -> datetime:
        self.time += timedelta(**by)
        return self.time


def digest(seed: object) -> str:
    return "sha256:" + hashlib.sha256(str(seed).encode()).hexdigest()


def description(features: int = 3, **parameters: object) -> ModelDescription:
    """A model with one signature over so many features."""
    signature = Signature(
        inputs={"features": TensorSpec("float32", (None, features))},
        outputs={"score": TensorSpec("float32", (None, 1))},
    )
    return ModelDescription(signatures={"serving_default": signature}, parameters=parameters)


def candidate(seed: object, features: int = 3, **parameters: object) -> Candidate:
    return Candidate(digest(seed), description(features, **parameters))


def lineage_of(registry: Registry) -> Lineage:
    """The lineage of a registry; of one on a server the lineage there, which a test takes for a local one."""
    found: Any = registry
    return cast("Lineage", found.lineage) if isinstance(found, RemoteRegistry) else Lineage(registry)
