"""Months go by: the real pipeline on real flights, with promotion, a rollback, and the right baseline after it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flight_testing import ROWS
from pipelines.flight_delay import data
from pipelines.flight_delay.config import Training, local

from tfx_pedigree.registry import PromotionRequest, Registry
from tfx_pedigree.tfx_runner.local_run import run_local

MODEL = "flight-delay"
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("story")
    data.write_spans(place / "data", [1, 2, 3], ROWS)
    Registry.create(place / "registry", actor="ada").close()
    return place


@pytest.fixture(scope="module")
def run(folder: Path) -> Callable[..., dict[str, Any]]:
    """Runs one span; gives what the comparison says."""

    def run_span(span: int, **settings: Any) -> dict[str, Any]:
        pedigree = {"registry": str(folder / "registry"), "actor": "ada", "comparator_options": {"latency_rounds": 5}}
        settings = {"training": Training(epochs=2), **settings}
        # Modules by their names: what their wheels would be installed for, four times in a run, is tested elsewhere.
        config = local(folder, span=span, pedigree=pedigree, code=str(CHECKOUT), **settings)

        def make_pipeline() -> Any:
            from pipelines.flight_delay.pipeline import create_pipeline

            return create_pipeline(config)

        run_local(make_pipeline, folder / "run.log", io.StringIO())
        written = (folder / "artifacts" / "VersionComparator" / "comparison").glob("*/comparison.json")
        found: dict[str, Any] = json.loads(max(written, key=lambda path: int(path.parent.name)).read_text())
        return found

    return run_span


def test_baseline_after_a_rollback_is_the_champion_and_not_the_newest_blessed(
    run: Callable[..., dict[str, Any]], folder: Path
) -> None:
    with Registry.open(folder / "registry", actor="ada") as registry:
        first = run(1)
        assert first["champion"] is None
        floors = registry.get(f"{MODEL}@1.0.0")
        if floors.state.value != "production":  # so few flights may miss a floor of the policy: a person decides then
            registry.promote(f"{MODEL}@1.0.0", PromotionRequest(override=True, reason="the first, on 700 flights"))

        second = run(2, features="departure")
        assert second["champion"]["version"] == "1.0.0"
        assert second["challenger"]["version"] == "1.1.0"
        if registry.model(MODEL).champion != "1.1.0":
            registry.promote(f"{MODEL}@1.1.0", PromotionRequest(override=True, reason="for this story"))

        registry.rollback(MODEL, reason="a complaint")
        third = run(3, features="departure")
        assert third["champion"]["version"] == "1.0.0", "not 1.1.0, which was blessed last"
        assert third["challenger"]["version"] == "1.1.1", "the same model retrained"
        assert registry.verify_audit().ok
        assert registry.store.verify().ok


def test_evaluation_is_later_than_training_and_the_same_for_both(folder: Path) -> None:
    for number in (1, 2, 3):
        span = folder / "data" / f"span-{number}"
        about = json.loads((span / "about.json").read_text())
        assert about["evaluation"]["month"] == about["train"]["month"] + 1 == number + 1
