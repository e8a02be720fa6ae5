"""The reference pipeline, month after month on real flights: here, and as Kubeflow and Vertex run it, compiled and run
task by task. Both come to the same end; then a version is rolled back, and the next month is judged."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conformance_testing import Done, Service
from pipelines.flight_delay import data
from pipelines.flight_delay.config import Training, local

from tfx_pedigree.orchestration.ir import CompiledPipeline, SpecKind, Surroundings, fit, lint
from tfx_pedigree.registry import Registry
from tfx_pedigree.tfx_runner import compile_pipeline, local_run

MODEL = "flight-delay"
ROWS = 300
TOLD = "comparison.json"
CHECKOUT = Path(__file__).parents[2]
IMAGE = f"registry.example/flight-delay:1@sha256:{'0' * 64}"
# The second month's model has more features than the first's: a MINOR change.
FEATURES = {1: "schedule", 2: "departure"}
# On so few flights the score wavers from training to training: a policy of which the word does not depend on that.
POLICY = """
format: pedigree.policy/2
metric: auc
rule: {absolute: 0.5}
similar: prefer_challenger
min_examples: 100
first_version: {auc: {at_least: 0.2}}
guardrails: [{metric: binary_accuracy, max_regression: {absolute: 0.5}}]
"""


@dataclass(frozen=True)
class End:
    """Where a pipeline ended after a first version and a judged retraining."""

    registry: list[dict[str, Any]]
    events: list[tuple[str, str | None]]
    comparisons: list[dict[str, Any]]


def ended(folder: Path, comparisons: list[Path]) -> End:
    with Registry.open(folder / "registry", actor="ada") as registry:
        assert registry.verify_audit().ok
        assert registry.store.verify().ok
        versions = [one.to_json() for one in reversed(registry.versions(MODEL).items)]
        events = [(one.action, one.subject) for one in reversed(registry.history(MODEL).items)]
    told = [json.loads((path / TOLD).read_text()) for path in comparisons]
    return End([_state(one) for one in versions], events, [_judgement(one) for one in told])


def _state(version: dict[str, Any]) -> dict[str, Any]:
    """All that does not depend on the moment or on how the training went."""
    kept = (
        "version",
        "sequence",
        "state",
        "bump",
        "reasons",
        "predecessor",
        "parameters",
        "tags",
        "aliases",
        "refusal",
    )
    return {**{key: version[key] for key in kept}, "metrics": sorted(version["metrics"]), "by": version["created_by"]}


def _judgement(comparison: dict[str, Any]) -> dict[str, Any]:
    def side(found: dict[str, Any] | None) -> Any:
        trained = [(one["split"], one["span"]) for one in (found or {}).get("trained_on", ())]
        return found and {"version": found["version"], "parameters": found["parameters"], "trained_on": trained}

    kept = ("model", "verdict", "recommendation", "policy", "bump", "changes", "parameter_changes", "similarity")
    return {
        **{key: comparison[key] for key in kept},
        "challenger": side(comparison["challenger"]),
        "champion": side(comparison["champion"]),
        "checks": [(one["name"], one["outcome"]) for one in comparison["checks"]],
        "metrics": [(one["metric"], one["slice"], one["champion"] is None) for one in comparison["metrics"]],
        "evaluated_on": [(one["split"], one["span"], one["examples"]) for one in comparison["evaluated_on"]],
    }


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory, few_flights: Path) -> Path:
    """The data of three months, in a folder each: a month arrives when its folder is copied."""
    folder = tmp_path_factory.mktemp("spans")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "_package_file", lambda name: few_flights / name)
        data.write_spans(folder, [1, 2, 3], ROWS)
    return folder


def arrived(folder: Path, spans: Path, number: int) -> None:
    shutil.copytree(spans / f"span-{number}", folder / "data" / f"span-{number}")


def place(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    folder = tmp_path_factory.mktemp(name)
    (folder / "policy.yaml").write_text(POLICY)
    Registry.create(folder / "registry", actor="ada").close()
    return folder


@dataclass(frozen=True)
class Local:
    """What the local runner works in. Months arrive one after the other."""

    folder: Path

    def run(self, features: str, **pedigree: Any) -> list[Path]:
        """With the newest month; gives the folders of all comparisons so far."""
        where = {"registry": str(self.folder / "registry"), "actor": "ada"}
        config = local(
            self.folder,
            pedigree={**pedigree, **where},
            training=Training(epochs=1),
            features=features,
            code=str(CHECKOUT),
        )

        def make_pipeline() -> Any:
            from pipelines.flight_delay.pipeline import create_pipeline

            return create_pipeline(config)

        local_run.run_local(make_pipeline, self.folder / "run.log", io.StringIO())
        made = (self.folder / "artifacts" / "VersionComparator" / "comparison").iterdir()
        return sorted((one for one in made if one.name.isdigit()), key=lambda one: int(one.name))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, spans: Path) -> Local:
    return Local(place(tmp_path_factory, "locally"))


@pytest.fixture(scope="module")
def locally(here: Local, spans: Path) -> End:
    """Two months on the local runner."""
    made: list[Path] = []
    for number, features in FEATURES.items():
        arrived(here.folder, spans, number)
        made = here.run(features, **pedigree_settings(here.folder))
    return ended(here.folder, made)


def pedigree_settings(folder: Path) -> dict[str, Any]:
    """A small evaluation: slices are evaluated elsewhere."""
    options = {"slice_features": [], "comparator_options": {"latency_rounds": 3}}
    return {"policy": str(folder / "policy.yaml"), **options}


def compiled_for(kind: SpecKind, folder: Path, features: str) -> CompiledPipeline:
    """As `pedigree pipeline compile` makes it. The image's files are this checkout's, buckets are folders, and the
    container's environment says where the registry is."""
    settings = {
        "root": str(folder / "artifacts"),
        "data": str(folder / "data"),
        "serving": str(folder / "serving"),
        "code": str(CHECKOUT),
        "training": {"epochs": 1},
        "features": features,
        "pedigree": pedigree_settings(folder),
    }
    create = "pipelines.flight_delay.pipeline:create_pipeline"
    made = compile_pipeline.compiled({"create": create, "settings": settings, "images": {"default": IMAGE}})
    registry = str(folder / "registry")
    around = Surroundings({"PEDIGREE_REGISTRY": registry, "PEDIGREE_ACTOR": "ada", "PYTHONPATH": str(CHECKOUT)})
    compiled, _ = fit(made["job"], kind, defaults=made["defaults"], around=around)
    assert {one.rule for one in lint(compiled, made["unimportable"])} == {"registry", "root"}, "both are files here"
    return compiled


def comparison_of(run: dict[str, Done]) -> Path:
    return Path(run["VersionComparator"].artifacts["comparison"]["uri"])


def test_a_version_and_its_retraining_end_on_services_as_they_end_here(
    locally: End, spans: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The first month on Kubeflow, the second on Vertex, each with the newest span that is there when it runs."""
    folder = place(tmp_path_factory, "services")
    subprocesses = {SpecKind.KUBEFLOW: ["CsvExampleGen"], SpecKind.VERTEX: ["ChampionProvider"]}
    compiled = {
        kind: compiled_for(kind, folder, features) for kind, features in zip(SpecKind, FEATURES.values(), strict=True)
    }
    runs = []
    for number, kind in enumerate(SpecKind, 1):
        arrived(folder, spans, number)
        runs.append(Service(folder / str(kind), subprocesses[kind]).run(compiled[kind]))
    assert ended(folder, [comparison_of(run) for run in runs]) == locally


def test_baseline_after_a_rollback_is_the_champion_and_not_the_newest_blessed(
    here: Local, locally: End, spans: Path
) -> None:
    """The third month is judged by the reference policy, with all its slices."""
    assert [one["champion"] and one["champion"]["version"] for one in locally.comparisons] == [None, "1.0.0"]
    assert [one["version"] for one in locally.registry] == ["1.0.0", "1.1.0"]
    with Registry.open(here.folder / "registry", actor="ada") as registry:
        assert registry.model(MODEL).champion == "1.1.0"
        registry.rollback(MODEL, reason="a complaint")
        arrived(here.folder, spans, 3)
        third = json.loads((here.run("departure", comparator_options={"latency_rounds": 3})[-1] / TOLD).read_text())
        assert third["champion"]["version"] == "1.0.0", "not 1.1.0, which was blessed last"
        assert third["challenger"]["version"] == "1.2.0", "by what changed since the champion; 1.1.0 is taken"
        assert {"origin", "carrier"} <= {name for one in third["metrics"] for name in one["slice"]}
        assert registry.verify_audit().ok
        assert registry.store.verify().ok


def test_evaluation_is_later_than_training_and_the_same_for_both(spans: Path) -> None:
    for number in (1, 2, 3):
        about = json.loads((spans / f"span-{number}" / "about.json").read_text())
        assert about["evaluation"]["month"] == about["train"]["month"] + 1 == number + 1
