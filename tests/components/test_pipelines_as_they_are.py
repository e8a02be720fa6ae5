"""What real pipelines hold beside a Trainer fits without leaving `add_pedigree`: each in a small run of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import IPython.display
import pytest
from components_testing import NAME, Place, record, write_rows
from stock_testing import Validate, WarmTrainer, run_pipeline
from tfx.components.example_gen.import_example_gen.component import ImportExampleGen
from tfx.components.tuner.component import Tuner
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.span_range_strategy import SpanRangeStrategy
from tfx.orchestration.experimental.interactive import visualizations
from tfx.proto import example_gen_pb2, range_config_pb2
from tfx.types import Channel
from tfx.types.standard_artifacts import Examples
from wired_testing import ready_model

from tfx_pedigree.comparison import ErrorBudget, ModelInputs, Policy
from tfx_pedigree.errors import InvalidInputError
from tfx_pedigree.lineage.graph import EdgeKind, NodeKind
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.wording import label
from tfx_pedigree.mlmd import Mapper, connect, scan
from tfx_pedigree.registry import Evidence, Registry, Verdict
from tfx_pedigree.retraining.ledger import spans_of
from tfx_pedigree.service.intake import candidate_of
from tfx_pedigree.service.judging.past import past_of
from tfx_pedigree.service.judging.replaying import replay_all
from tfx_pedigree.service.runs.judgement import INFRA, judged
from tfx_pedigree.tfx_components import ChampionProvider, add_candidates, add_pedigree
from tfx_pedigree.tfx_components.artifacts import LineageRecord, ModelVersion, VersionComparison

ROWS = [{"x": n / 40, "y": n / 20} for n in range(1, 120)]
INPUTS = ModelInputs(label_key="y", signature_name="serving_default")
POLICY = Policy("mean_absolute_error")


@pytest.fixture
def given(place: Place, tmp_path: Path) -> dict[str, Any]:
    """What every call of add_pedigree is given here."""
    (tmp_path / "data").mkdir()
    write_rows(tmp_path / "data" / "rows.gz", ROWS)
    where = {key: place.properties[key] for key in ("registry", "store", "actor")}
    return {"inputs": INPUTS, "comparator_options": {"latency_rounds": 0}, **where}


def serving(registry: Registry, folder: Path, factor: float, name: str = NAME) -> str:
    """A champion that is there already; its number."""
    ready = ready_model(folder / f"champion-{factor}", factor)
    version = registry.add(name, candidate_of(registry.store_to_fill, ready)).version
    return registry.promote(f"{name}@{version.version}").version.version


def written(folder: Path, name: str) -> list[dict[str, Any]]:
    """Of all runs, in their order."""
    paths = sorted((folder / "root").rglob(name), key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(path.read_text()) for path in paths]


def _without_its_record(config: Any, folder: Path) -> set[tuple[EdgeKind, str, str]]:
    """What ML Metadata alone tells of a run, as of one from before Pedigree: kinds of edges between nodes in words."""
    for path in (folder / "root").rglob("version.json"):
        path.unlink()
    with connect(config) as reader:
        mapper = Mapper(reader.identity)
        fragments = [mapper.fragment(piece) for piece in scan(reader)]
    said = {node.key: label(node) for fragment in fragments for node in fragment.nodes}
    return {(one.kind, said[one.source], said[one.target]) for fragment in fragments for one in fragment.edges}


def test_a_tuner_a_warm_start_and_an_infra_validator_are_heard(
    given: dict[str, Any], local_registry: Registry, tmp_path: Path
) -> None:
    first = serving(local_registry, tmp_path, 1.0)
    examples = ImportExampleGen(str(tmp_path / "data"))
    champion = ChampionProvider(NAME, **{key: given[key] for key in ("registry", "store", "actor")})
    tuner = Tuner(examples=examples.outputs["examples"], tuner_fn="tuned_testing.tuner_fn")
    trainer = WarmTrainer(
        examples.outputs["examples"],
        ready_model(tmp_path / "better", 1.9, weights=2),
        hyperparameters=tuner.outputs["best_hyperparameters"],
        base_model=champion.outputs["model"],
    )
    validated = Validate(well=0)
    pedigree = add_pedigree(
        trainer,
        examples.outputs["examples"],
        NAME,
        POLICY,
        hyperparameters={"units": 1, "seed": 5},
        champion_provider=champion,
        infra_blessing=validated.outputs["blessing"],
        **given,
    )
    config = run_pipeline(tmp_path, [examples, champion, tuner, trainer, validated, *pedigree.components])
    second = local_registry.get(f"{NAME}@latest")
    assert {key: second.parameters[key] for key in ("units", "rate", "seed")} == {"units": 7, "rate": 0.3, "seed": 5}
    assert second.refusal == "FAIL: The infrastructure's validation did not bless the model."
    assert local_registry.model(NAME).champion == first
    (made,) = written(tmp_path, "version.json")
    base = local_registry.get(f"{NAME}@{first}")
    assert made["base_model"] == {"model": NAME, "version": first, "digest": base.digest}
    lineage = Lineage(local_registry)
    path = lineage.path(f"{NAME}@{second.version}", f"{NAME}@1.0.0")
    assert path is not None
    assert EdgeKind.DERIVED_FROM in {edge.kind for edge in path.edges}
    told = json.dumps(lineage.explain(f"{NAME}@{second.version}").to_json())
    assert f"Its training went on from {NAME} 1.0.0" in told
    assert replay_all(local_registry).ok
    known = _without_its_record(config, tmp_path)
    new, old = f"{NAME} {second.version}", f"{NAME} {first}"
    assert (EdgeKind.DERIVED_FROM, new, old) in known, "the warm start"
    assert [source[:3] for kind, source, target in known if (kind, target) == (EdgeKind.USED, old)] == ["run"]
    configured = {target for kind, source, target in known if (kind, source) == (EdgeKind.CONFIGURED_BY, new)}
    assert any("rate=0.3" in one and "units=7" in one for one in configured), configured


def test_a_first_model_has_nothing_to_go_on_from_and_what_was_blessed_is_on_file(place: Place) -> None:
    """The ChampionProvider's artifact says that there is none. Any other model is known by its content."""
    version = place.version(place.trained("keras"), base_model=place.champion())
    assert record(version)["base_model"] is None
    stranger = place.version(place.trained("keras_tanh"), base_model=place.trained("keras_deeper"))
    assert record(stranger)["base_model"]["version"] is None
    found = Lineage(Registry.open(place.properties["registry"], actor="ada"))
    place.recorded(stranger)
    assert any(node.kind is NodeKind.DATA for node in found.get_upstream(f"{NAME}@1.1.0").nodes.values())
    passed = Evidence(record(version)["digest"], None, Verdict.PASS, "good")
    blessed = judged(record(version), passed, {INFRA: True})
    assert blessed is not None
    assert blessed.details["blessed_by"] == [INFRA]


def test_two_models_and_two_candidates_for_one_of_them_live_in_one_pipeline(
    given: dict[str, Any], local_registry: Registry, tmp_path: Path
) -> None:
    budget = Policy("mean_absolute_error", confidence=0.95, error_budget=ErrorBudget(0.05, 52))

    def train(name: str, factor: float) -> WarmTrainer:
        ready = ready_model(tmp_path / name, factor, weights=3)
        return WarmTrainer(examples.outputs["examples"], ready).with_id(f"Train_{name}")

    serving(local_registry, tmp_path, 1.0)
    examples = ImportExampleGen(str(tmp_path / "data"))
    alone, trainers = train("other", 1.0), {"small": train("small", 1.4), "large": train("large", 1.8)}
    one = add_pedigree(alone, examples.outputs["examples"], "other", POLICY, name="other", **given)
    several = add_candidates(trainers, examples.outputs["examples"], NAME, budget, **given)
    parts = [part for pedigree in (one, *several.values()) for part in pedigree.components]
    run_pipeline(tmp_path, [examples, alone, *trainers.values(), *parts])
    assert local_registry.model("other").champion == "1.0.0"
    small, large = sorted(
        (one for one in local_registry.versions(NAME).items if one.version != "1.0.0"),
        key=lambda version: -version.metrics["mean_absolute_error"],
    )
    assert local_registry.model(NAME).champion == large.version
    assert f"{large.version}, another candidate of the run, is better: its mean_absolute_error" in str(small.refusal)
    decisions = past_of(local_registry, NAME).decisions
    assert len({one.decided.question for one in decisions}) == 2, "each is a decision, which the budget counts"
    assert replay_all(local_registry).ok


def test_a_rolling_window_of_spans_is_recorded_span_by_span(
    given: dict[str, Any], local_registry: Registry, tmp_path: Path
) -> None:
    for span in (1, 2, 3):
        (tmp_path / "spans" / f"span-{span}").mkdir(parents=True)
        write_rows(
            tmp_path / "spans" / f"span-{span}" / "rows.gz", [{"x": n / 40, "y": span * n} for n in range(1, 60)]
        )

    def read(span: int) -> ImportExampleGen:
        only = range_config_pb2.StaticRange(start_span_number=span, end_span_number=span)
        splits = [example_gen_pb2.Input.Split(name="all", pattern="span-{SPAN}/*")]
        return ImportExampleGen(
            str(tmp_path / "spans"),
            input_config=example_gen_pb2.Input(splits=splits),
            range_config=range_config_pb2.RangeConfig(static_range=only),
        )

    for span in (1, 2):
        run_pipeline(tmp_path, [read(span)])
    newest = read(3)
    window = Resolver(
        strategy_class=SpanRangeStrategy,
        config={"range_config": range_config_pb2.RangeConfig(rolling_range=range_config_pb2.RollingRange(num_spans=2))},
        examples=Channel(type=Examples, producer_component_id=newest.id),
    ).with_id("Window")
    window.add_upstream_node(newest)
    trainer = WarmTrainer(window.outputs["examples"], ready_model(tmp_path / "ready", 1.0))
    pedigree = add_pedigree(trainer, window.outputs["examples"], NAME, POLICY, **given)
    run_pipeline(tmp_path, [newest, window, trainer, *pedigree.components])
    (made,) = written(tmp_path, "version.json")
    assert sorted(one["span"] for one in made["data"]["examples"]) == ["2", "3"]
    assert spans_of(local_registry.get(f"{NAME}@1.0.0").tags["span"]) == (2, 3), "what retraining reads"
    (compared,) = written(tmp_path, "comparison.json")
    assert [one["span"] for one in compared["evaluated_on"]] == ["2, 3"], "both models were judged on the window"
    lineage = Lineage(local_registry)
    for span in ("2", "3"):
        assert [one.node.fact("version") for one in lineage.impact(f"data:span={span}").versions] == ["1.0.0"]
    assert lineage.impact("data:span=3").versions


def test_a_notebook_shows_the_sheet_the_report_and_the_lineage(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(IPython.display, "display", lambda one: shown.append(one.data))
    version = place.version(place.trained("keras"), {"hyperparameters": '{"units": 4, "<b>": 1}'})
    comparison = place.compared(version)
    Path(comparison.uri, "report.html").write_text('<!doctype html><p title="a">Report</p>')
    recorded = place.recorded(version)
    for artifact in (version, comparison, recorded):
        view = visualizations.get_registry().get_visualization(type(artifact).TYPE_NAME)
        assert view is not None
        view.display(artifact)
    sheet, report, lineage = shown
    assert f"{NAME} 1.0.0" in sheet and "units" in sheet and "<b>" not in sheet.replace("&lt;b&gt;", "")
    assert report.startswith("<iframe sandbox") and "&lt;p title=&quot;a&quot;&gt;Report" in report
    assert "version" in lineage
    assert {ModelVersion.TYPE_NAME, VersionComparison.TYPE_NAME, LineageRecord.TYPE_NAME} <= set(
        visualizations.get_registry().visualizations
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda trainer, given: add_candidates({"a": trainer}, trainer, NAME, POLICY, **given), "has no rivals"),
        (
            lambda trainer, given: add_pedigree(trainer, trainer, NAME, POLICY, name="a b", **given),
            "letters and digits",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_when_it_is_built(
    call: Callable[[Any, Any], Any], said: str, given: dict[str, Any]
) -> None:
    examples = ImportExampleGen("data")
    trainer = WarmTrainer(examples.outputs["examples"], "ready")
    with pytest.raises(InvalidInputError, match=said):
        call(trainer, given)
