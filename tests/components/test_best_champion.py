"""The best champion so far is measured anew on today's rows; where it cannot be, the decision says so and goes by what
earlier comparisons said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from components_testing import NAME, Place, write_rows
from tfx.types import standard_artifacts
from wired_testing import ready_model, run_wired

from tfx_pedigree.comparison import Comparison, NeverBelow, Policy, Similar
from tfx_pedigree.registry import Registry
from tfx_pedigree.service.judging.replaying import replay_all
from tfx_pedigree.tfx_components.best_champion.executor import EvaluatorExecutor, ProviderExecutor, anchor_of

POLICY = Policy("mean_absolute_error", similar=Similar.PREFER_CHALLENGER, never_below=NeverBelow(relative=0.05))


def run(place: Place, registry: Registry, factor: float, truth: float) -> Comparison:
    """A run of the whole pipeline with a model that says `factor` · x of rows where `truth` · x is right."""
    folder = place.root
    (folder / "data").mkdir(exist_ok=True)
    write_rows(folder / "data" / "rows.gz", [{"x": n / 40, "y": truth * n / 40} for n in range(1, 200)])
    where = {key: place.properties[key] for key in ("registry", "store")}
    pushed = run_wired(folder, ready_model(folder / f"{factor}", factor), policy=POLICY, **where)
    assert pushed["outcome"] == "promoted"
    evidence = registry.evidence(f"{NAME}@{pushed['version']}")
    assert evidence is not None
    return Comparison.from_json(evidence.details["comparison"])


def provided(place: Place, champion: str) -> Any:
    """What the provider gives in a run that evaluates against this champion."""
    served = place.made(standard_artifacts.Model)
    served.set_string_custom_property("version", champion)
    output = {"model": place.made(standard_artifacts.Model)}
    return place.run(ProviderExecutor, {"champion": served}, output, policy=json.dumps(POLICY.to_json()))


def evaluated(place: Place, best: Any) -> Any:
    return place.run(
        EvaluatorExecutor, {"baseline_model": best}, {"evaluation": place.made(standard_artifacts.ModelEvaluation)}
    )


def damage(store: Path) -> None:
    for path in (store / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"x" * path.stat().st_size)


def test_the_best_champion_is_measured_on_todays_rows(place: Place, local_registry: Registry) -> None:
    """By its lead of long ago the best one would have an error below 0 here. In truth it is the worst of the three."""
    assert run(place, local_registry, 1.0, truth=2.0).basis.anchor is None  # type: ignore[union-attr]
    second = run(place, local_registry, 0.96, truth=2.0)
    assert second.basis.anchor is None, "the champion itself is the best one"  # type: ignore[union-attr]

    third = run(place, local_registry, 0.945, truth=0.94)
    anchor = third.basis.anchor  # type: ignore[union-attr]
    assert (anchor.version, anchor.missing) == ("1.0.0", None)
    assert anchor.best.value == pytest.approx(12 * anchor.challenger.value, rel=1e-3)
    (check,) = [one for one in third.decision.checks if one.name == "best champion"]
    assert "1.0.0, has" in check.sentence and "here (measured anew on these rows)" in check.sentence
    assert replay_all(local_registry, NAME).ok

    damage(Path(place.properties["store"]))
    best = provided(place, "1.0.1")
    found = anchor_of(POLICY, best, evaluated(place, best))
    assert found is not None and (found.version, found.missing) == ("1.0.0", "its bytes cannot be used any more")
    # Where the champion itself is the best one, nothing is laid out or evaluated.
    none = provided(place, "1.0.0")
    assert anchor_of(POLICY, none, evaluated(place, none)) is None
