"""A number says what changes for those who use the model now, whatever was refused or rolled back in between."""

from __future__ import annotations

from typing import Any

import pytest

from pedigree_testing import description, digest
from tfx_pedigree.registry import Candidate, PromotionRequest, Registry

pytestmark = pytest.mark.conformance

MODEL = "flight-delay"


def add(registry: Registry, name: str, features: int = 8, **parameters: Any) -> str:
    candidate = Candidate(digest(name), description(features, **parameters))
    return registry.add(MODEL, candidate).version.version


def crown(registry: Registry, number: str) -> None:
    registry.promote(f"{MODEL}@{number}", PromotionRequest(override=True, reason="looked at"))


def test_after_a_rollback_the_next_retraining_is_a_patch_of_what_serves(registry: Registry) -> None:
    crown(registry, add(registry, "one"))
    assert add(registry, "two", features=9) == "2.0.0"
    crown(registry, "2.0.0")
    registry.rollback(MODEL, reason="callers broke")
    assert add(registry, "three") == "1.0.1"
    assert registry.get(f"{MODEL}@1.0.1").predecessor == "1.0.0"
    assert add(registry, "four", features=9) == "3.0.0"
    assert registry.verify_audit().problems == ()


def test_refused_versions_keep_their_numbers_and_raise_none(registry: Registry) -> None:
    crown(registry, add(registry, "one"))
    numbers = [add(registry, f"retrained {at}") for at in range(6)]
    assert numbers == [f"1.0.{at}" for at in range(1, 7)]
    assert add(registry, "wider", units=16) == "1.1.0"
    assert registry.get(f"{MODEL}@1.1.0").bump == "minor"
    assert add(registry, "retrained once more") == "1.0.7"
    assert registry.get(f"{MODEL}@1.0.7").predecessor == "1.0.0"


def test_without_a_champion_the_newest_registered_version_is_followed(registry: Registry) -> None:
    assert add(registry, "one") == "1.0.0"
    assert add(registry, "two", units=16) == "1.1.0"
    reserved = registry.reserve(MODEL, Candidate(digest("three"), description(9))).version
    assert (reserved.version, reserved.predecessor) == ("2.0.0", "1.1.0")
    assert add(registry, "four", units=16) == "1.1.1"
