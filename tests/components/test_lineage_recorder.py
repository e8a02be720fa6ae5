"""The run behind each version is in the graph: whole, once, without secrets, and whatever fails meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from components_testing import NAME, Place, record, through_kubeflow, tree
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.proto.orchestration import pipeline_pb2
from tfx.types import artifact_utils, channel, standard_artifacts

from tfx_pedigree.db import schema
from tfx_pedigree.digest import digest_of
from tfx_pedigree.errors import InvalidInputError, NotFoundError, UnavailableError
from tfx_pedigree.lineage.graph import EdgeKind, Node, NodeKind
from tfx_pedigree.lineage.lineage import Lineage
from tfx_pedigree.lineage.node_factory import is_incomplete
from tfx_pedigree.lineage.subgraph import Subgraph
from tfx_pedigree.registry import Registry, Verdict
from tfx_pedigree.tfx_components.artifacts import LineageRecord, ModelVersion
from tfx_pedigree.tfx_components.lineage_recorder.component import LineageRecorder
from tfx_pedigree.tfx_components.lineage_recorder.executor import Executor
from tfx_pedigree.versioning.git_state import GitState

CODE = json.dumps(GitState(commit="c" * 40, remote="https://example.org/x.git").to_json())
MODULES = {"flight_model.py": "sha256:" + "5" * 64}
MADE = {
    "git": CODE,
    "modules": json.dumps(MODULES),
    "hyperparameters": '{"units": 4, "seed": 7}',
    "training": '{"train_args": {"splits": ["train"]}}',
    "image": "registry.example/trainer@sha256:1",
}
GONE = "postgresql://nobody@127.0.0.1:1/none"


class Ran:
    """The artifacts of one run, up to what was pushed."""

    def __init__(self, place: Place, golden: str, span: str, verdict: Verdict = Verdict.PASS, **made: str) -> None:
        self.place = place
        self.examples = place.examples([{"a": float(span), "b": n / 7} for n in range(9)], "train", span=span)
        model, champion = place.trained(golden), place.champion()
        self.version = place.version(model, {**MADE, **made}, examples=self.examples, champion=champion)
        self.comparison = place.compared(self.version, verdict)
        self.pushed = place.push(self.version, model=model, comparison=self.comparison)

    def recorded(self, **properties: Any) -> Any:
        return self.place.recorded(
            self.version,
            properties,
            examples=self.examples,
            comparison=self.comparison,
            pushed_model=self.pushed,
        )


def graph(registry: Registry, selector: str = "1.0.0") -> Subgraph:
    """What the version came from, what came of it, and what that rests on as well."""
    lineage = Lineage(registry)
    found = lineage.get_lineage(f"{NAME}@{selector}")
    parts = [
        found,
        *(lineage.get_upstream(node) for node in found.nodes.values() if node.kind is not NodeKind.PROMOTION),
    ]
    nodes = {key: node for part in parts for key, node in part.nodes.items()}
    return Subgraph(found.start, nodes, tuple({edge: edge for part in parts for edge in part.edges}))


def of(found: Subgraph, kind: NodeKind) -> list[Node]:
    return [node for node in found.nodes.values() if node.kind is kind]


def only(found: Subgraph, kind: NodeKind) -> Node:
    (node,) = of(found, kind)
    return node


def rows(registry: Registry) -> dict[str, int]:
    """How much is in the tables of the graph."""
    with registry.transactions.reading(None) as connection:
        tables = (schema.lineage_nodes, schema.lineage_facts, schema.lineage_edges)
        return {
            table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in tables
        }


def properties(output: Any) -> tuple[int, int]:
    return output.get_int_custom_property("recorded"), output.get_int_custom_property("complete")


# What is recorded


def test_a_first_run_is_in_the_graph_from_its_data_to_where_it_serves(place: Place, local_registry: Registry) -> None:
    Ran(place, "keras", "3").recorded()
    found = graph(local_registry)
    said = {(found.nodes[e.source].kind.value, e.kind.value, found.nodes[e.target].kind.value) for e in found.edges}
    assert said >= {
        ("version", "trained_on", "data"),
        ("version", "built_by", "code"),
        ("version", "built_by", "module"),
        ("version", "ran_in", "environment"),
        ("version", "configured_by", "parameters"),
        ("version", "produced_by", "run"),
        ("evaluation", "evaluated_on", "data"),
        ("comparison", "rests_on", "evaluation"),
        ("decision", "rests_on", "comparison"),
        ("deployment", "deploys", "version"),
        ("promotion", "promotes", "version"),
        ("promotion", "decided_by", "decision"),
    }
    assert only(found, NodeKind.DEPLOYMENT).content["destination"] == str(place.root / "serving" / NAME / "1")
    trained_on = [found.nodes[edge.target] for edge in found.edges if edge.kind is EdgeKind.TRAINED_ON]
    assert [node.fact("part") for node in trained_on] == ["3/train"]
    assert only(found, NodeKind.CODE).fact("commit") == "c" * 40
    assert only(found, NodeKind.PARAMETERS).fact("seed") == "7"
    surroundings = only(found, NodeKind.ENVIRONMENT).content
    assert surroundings["packages"]["tfx"]
    assert surroundings["cpu"]["count"] >= 1
    assert surroundings["image"] == "registry.example/trainer@sha256:1"


def test_the_next_version_leads_to_the_one_it_supersedes_and_was_compared_with(
    place: Place, local_registry: Registry
) -> None:
    Ran(place, "keras", "3").recorded()
    Ran(place, "keras_retrained", "4").recorded()
    lineage = Lineage(local_registry)
    first, second = lineage.find(f"{NAME}@1.0.0"), lineage.find(f"{NAME}@1.0.1")
    way = lineage.path(second, first)
    assert way is not None
    (edge,) = way.edges
    assert edge.kind is EdgeKind.SUPERSEDES
    found = graph(local_registry, "1.0.1")
    against = {edge.target for edge in found.edges if edge.kind is EdgeKind.COMPARED_WITH}
    assert against == {first.key}


def test_what_was_recorded_is_a_file_that_can_be_read_again(place: Place, local_registry: Registry) -> None:
    ran = Ran(place, "keras", "3")
    output = ran.recorded()
    written = Subgraph.from_json(json.loads(Path(output.uri, "lineage.json").read_text()))
    assert written.complete
    assert written.nodes.keys() <= graph(local_registry).nodes.keys()
    assert written.start == (Lineage(local_registry).find(f"{NAME}@1.0.0").key,)
    carried = through_kubeflow(output)
    assert isinstance(carried, LineageRecord)
    assert properties(carried) == (1, 1)
    assert carried.get_int_custom_property("nodes") == len(written.nodes)
    assert carried.get_string_custom_property("version_node") == written.start[0]


def test_a_refusal_is_a_decision_and_deploys_nothing(place: Place, local_registry: Registry) -> None:
    Ran(place, "keras", "3").recorded()
    Ran(place, "keras_retrained", "4", Verdict.FAIL).recorded()
    found = graph(local_registry, "1.0.1")
    decisions = {node.fact("verdict") for node in of(found, NodeKind.DECISION)}
    assert "FAIL" in decisions
    assert not [
        e for e in found.edges if e.kind is EdgeKind.DEPLOYS and found.nodes[e.target].fact("version") == "1.0.1"
    ]


def test_a_decision_is_what_the_registry_keeps_also_where_a_blessing_was_withheld(
    place: Place, local_registry: Registry
) -> None:
    version = place.version(place.trained("keras"), MADE)
    comparison = place.compared(version)
    blessing = place.blessing(standard_artifacts.ModelBlessing, 0)
    pushed = place.push(version, comparison=comparison, model_blessing=blessing)
    place.recorded(version, comparison=comparison, pushed_model=pushed)
    found = graph(local_registry)
    decision = only(found, NodeKind.DECISION)
    assert decision.content["evidence"] == local_registry.evidence(f"{NAME}@1.0.0").digest
    assert decision.fact("verdict") == "FAIL"
    rests = [
        found.nodes[e.target].kind for e in found.edges if e.source == decision.key and e.kind is EdgeKind.RESTS_ON
    ]
    assert rests == [NodeKind.COMPARISON]


def test_an_evaluation_that_nobody_compared_is_recorded_with_its_data(place: Place, local_registry: Registry) -> None:
    version = place.version(place.trained("keras"), MADE)
    evaluation = place.made(standard_artifacts.ModelEvaluation)
    place.recorded(version, evaluation=evaluation, evaluate_on=place.examples([{"a": 1.0}], "eval", span="5"))
    found = graph(local_registry)
    assert {edge.kind for edge in found.edges if found.nodes[edge.source].kind is NodeKind.EVALUATION} == {
        EdgeKind.EVALUATES,
        EdgeKind.EVALUATED_ON,
    }
    assert "5/eval" in {part for node in of(found, NodeKind.DATA) for part in node.facts.get("part", ())}


def test_statistics_are_told_with_the_data_they_are_of(place: Place, local_registry: Registry) -> None:
    ran = Ran(place, "keras", "3")
    statistics = place.made(standard_artifacts.ExampleStatistics)
    statistics.split_names = artifact_utils.encode_split_names(["train"])
    folder = Path(artifact_utils.get_split_uri([statistics], "train"))
    folder.mkdir()
    (folder / "FeatureStats.pb").write_bytes(b"counted")
    place.recorded(ran.version, examples=ran.examples, statistics=statistics)
    data = Lineage(local_registry).find("span:3")
    assert data.fact("statistics") == digest_of(b"counted")
    assert data.fact("uri") == artifact_utils.get_split_uri([ran.examples], "train")


def test_statistics_of_the_training_are_not_told_of_other_data(place: Place, local_registry: Registry) -> None:
    version = place.version(place.trained("keras"), MADE)
    statistics = place.made(standard_artifacts.ExampleStatistics)
    statistics.split_names = artifact_utils.encode_split_names(["eval"])
    Path(artifact_utils.get_split_uri([statistics], "eval")).mkdir()
    Path(artifact_utils.get_split_uri([statistics], "eval"), "FeatureStats.pb").write_bytes(b"counted")
    evaluation = place.made(standard_artifacts.ModelEvaluation)
    own, other = (place.examples([{"a": one}], "eval", span=str(one)) for one in (1.0, 2.0))
    place.recorded(version, examples=own, statistics=statistics, evaluation=evaluation)
    place.recorded(version, examples=own, statistics=statistics, evaluation=evaluation, evaluate_on=other)
    lineage = Lineage(local_registry)
    assert lineage.find("data:part=1.0/eval").fact("statistics") == digest_of(b"counted")
    assert lineage.find("data:part=2.0/eval").fact("statistics") is None
    assert lineage.find("data:part=2.0/eval").fact("uri") == artifact_utils.get_split_uri([other], "eval")


def test_what_the_versioner_was_not_told_the_recorder_can_be(place: Place, local_registry: Registry) -> None:
    version = place.version(place.trained("keras"))
    examples = place.examples([{"a": 1.0}], "train", span="7")
    place.recorded(version, {"modules": json.dumps(MODULES), "image": "trainer:1"}, examples=examples)
    found = graph(local_registry)
    assert only(found, NodeKind.DATA).fact("span") == "7"
    assert only(found, NodeKind.MODULE).fact("name") == "flight_model.py"
    assert only(found, NodeKind.ENVIRONMENT).content["image"] == "trainer:1"


def test_how_the_run_was_started_and_what_lay_uncommitted_can_be_kept(place: Place, local_registry: Registry) -> None:
    """With both `pedigree reproduce` makes the version again."""
    recipe = {"format": "pedigree.recipe/1", "create": "mine:create", "path": "/code", "settings": {"root": "/out"}}
    diff = {"format": "pedigree.git-diff/1", "digest": digest_of(b"diff"), "patch": "789c", "files": {}}
    place.recorded(place.version(place.trained("keras")), {"recipe": json.dumps(recipe), "diff": json.dumps(diff)})
    kept = {node.content["type"]: node.content for node in of(graph(local_registry), NodeKind.ARTIFACT)}
    assert kept["recipe"]["recipe"] == recipe
    assert kept["diff"]["diff"] == diff


def test_a_record_of_an_older_release_is_recorded(place: Place, local_registry: Registry) -> None:
    version = place.version(place.trained("keras"), MADE)
    old = record(version)
    old["environment"] = {"python": "3.9.1", "platform": "x", "machine": "y", "packages": {"tfx": "1.15.1"}}
    del old["modules"]
    Path(version.uri, "version.json").write_text(json.dumps(old))
    assert properties(place.recorded(version)) == (1, 1)
    assert only(graph(local_registry), NodeKind.ENVIRONMENT).content == {
        "python": "3.9.1",
        "packages": {"tfx": "1.15.1"},
    }


# Who ran it


@pytest.mark.parametrize(
    ("told", "name"), [("run-42", "run-42"), ("{{$.pipeline_job_uuid}}", "2026-11-21T01:00:00.1"), ("", None)]
)
def test_the_run_has_the_name_that_its_runner_gives_it(
    place: Place, local_registry: Registry, told: str, name: str | None
) -> None:
    version = place.version(place.trained("keras"))
    context = None
    if told.startswith("{{"):
        info = pipeline_pb2.PipelineInfo(id="flights")
        context = BaseExecutor.Context(pipeline_info=info, pipeline_run_id=name)
    output = place.made(LineageRecord)
    Executor(context).Do({"version": [version]}, {"lineage": [output]}, {**place.properties, "run": told})
    run = only(graph(local_registry), NodeKind.RUN)
    assert run.fact("id") == name
    assert run.fact("pipeline") == ("flights" if context else None)


def test_who_only_repeats_a_run_is_not_taken_for_its_maker(
    place: Place, local_registry: Registry, history: Callable[[], list[str]]
) -> None:
    ran = Ran(place, "keras", "3")
    ran.recorded(run="run-1")
    before, rows_before = history(), rows(local_registry)
    ran.recorded(run="run-2")
    assert only(graph(local_registry), NodeKind.RUN).facts["id"] == ("run-1",)
    assert (history(), rows(local_registry)) == (before, rows_before)


# Again, and at once


def test_recording_twice_doubles_nothing_and_writes_the_same_file(
    place: Place, local_registry: Registry, history: Callable[[], list[str]]
) -> None:
    ran = Ran(place, "keras", "3")
    first = ran.recorded()
    before, rows_before = history(), rows(local_registry)
    assert before.count("record-lineage") == 1
    again = ran.recorded()
    assert tree(again.uri) == tree(first.uri)
    assert (history(), rows(local_registry)) == (before, rows_before)


def test_a_whole_run_repeated_finds_its_own_model_as_champion_and_adds_no_judgement(
    place: Place, local_registry: Registry, history: Callable[[], list[str]]
) -> None:
    ran = Ran(place, "keras", "3")
    ran.recorded()
    before, rows_before = history(), rows(local_registry)
    champion = place.champion()
    ran.version = place.version(place.trained("keras"), MADE, examples=ran.examples, champion=champion)
    ran.comparison = place.compared(ran.version, Verdict.FAIL)
    ran.pushed = place.push(ran.version, comparison=ran.comparison)
    ran.recorded()
    assert (history(), rows(local_registry)) == (before, rows_before)


def test_what_a_dead_recorder_left_out_the_repeated_run_brings_in(place: Place, local_registry: Registry) -> None:
    """The model was promoted before the recorder came: compared with itself, it is judged by what the registry kept."""
    ran = Ran(place, "keras", "3")
    ran.version = place.version(place.trained("keras"), MADE, examples=ran.examples, champion=place.champion())
    ran.comparison = place.compared(ran.version, Verdict.FAIL)
    ran.recorded()
    found = graph(local_registry)
    assert only(found, NodeKind.DECISION).fact("verdict") == "PASS"
    assert not of(found, NodeKind.COMPARISON)


def test_two_recorders_at_once_record_it_once(shared_place: Place, registry: Registry) -> None:
    from concurrent.futures import ThreadPoolExecutor

    ran = Ran(shared_place, "keras", "3")
    other = Ran(shared_place, "keras_retrained", "3")
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda one: one.recorded(), [ran, other, ran, other]))
    assert {properties(output) for output in outputs} == {(1, 1)}
    counted = rows(registry)
    for one in (ran, other):
        one.recorded()
    assert rows(registry) == counted
    assert len(of(graph(registry, "1.0.1"), NodeKind.RUN)) == 2
    assert registry.verify_audit().ok


# What fails


@pytest.mark.usefixtures("impatient")
def test_where_the_registry_is_gone_the_pipeline_goes_on_and_the_file_says_so(place: Place) -> None:
    ran = Ran(place, "keras", "3")
    output = ran.recorded(registry=GONE)
    assert properties(output) == (0, 0)
    assert "Run the pipeline again" in output.get_string_custom_property("problem")
    written = Subgraph.from_json(json.loads(Path(output.uri, "lineage.json").read_text()))
    assert {NodeKind.DATA, NodeKind.CODE, NodeKind.COMPARISON, NodeKind.DECISION} <= {
        node.kind for node in written.nodes.values()
    }


@pytest.mark.usefixtures("impatient")
def test_where_the_registry_is_gone_the_pipeline_stops_if_that_is_the_wish_and_a_rerun_heals_it(
    place: Place, local_registry: Registry
) -> None:
    ran = Ran(place, "keras", "3")
    with pytest.raises(UnavailableError, match=r"1\.0\.0 was not recorded.*Run the pipeline again"):
        ran.recorded(registry=GONE, on_failure="fail")
    assert rows(local_registry)["lineage_nodes"] == 0
    assert properties(ran.recorded(on_failure="fail")) == (1, 1)


def test_another_registry_than_the_versioners_is_noticed(place: Place, tmp_path: Path) -> None:
    ran = Ran(place, "keras", "3")
    Registry.create(tmp_path / "other", actor="ada").close()
    with pytest.raises(NotFoundError, match="the same registry"):
        ran.recorded(registry=str(tmp_path / "other"), on_failure="fail")


def test_artifacts_of_another_run_are_refused_whatever_the_policy(place: Place) -> None:
    one, other = Ran(place, "keras", "3"), Ran(place, "keras_tanh", "4")
    with pytest.raises(InvalidInputError, match="from the same run"):
        place.recorded(one.version, comparison=other.comparison)
    with pytest.raises(InvalidInputError, match="from the same run"):
        place.recorded(one.version, pushed_model=other.pushed)


def test_a_wrong_wish_is_refused_when_the_pipeline_is_built() -> None:
    version = channel.Channel(type=ModelVersion)
    with pytest.raises(InvalidInputError, match="on_failure"):
        LineageRecorder(version, NAME, on_failure="ignore")
    with pytest.raises(InvalidInputError, match="password") as refused:
        LineageRecorder(version, NAME, mlmd="mysql://root:s3cret@db/mlmd")
    assert "s3cret" not in str(refused.value)


# Secrets

SECRET = "hunter2-never-to-be-seen"  # noqa: S105


def test_no_secret_reaches_a_file_the_registry_or_the_graph(
    place: Place, local_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_TOKEN", SECRET)
    monkeypatch.setenv("TF_XLA_FLAGS", f"--api_key={SECRET}")
    remote = GitState(commit="c" * 40, remote=f"https://ada:{SECRET}@example.org/x.git")
    config = {"custom_config": {"wandb": {"api_key": SECRET}, "table": f"postgresql://ada:{SECRET}@db/flights"}}
    ran = Ran(
        place,
        "keras",
        "3",
        git=json.dumps(remote.to_json()),
        training=json.dumps(config),
        hyperparameters=json.dumps({"db": {"password": SECRET}, "units": 4}),
        variables='["TRACKING_TOKEN"]',
        image=f"https://ada:{SECRET}@registry.example/trainer",
    )
    ran.recorded()
    found = record(ran.version)
    assert found["environment"]["variables_set_later"]["TRACKING_TOKEN"] == "(hidden)"  # noqa: S105
    assert found["training"]["custom_config"]["wandb"] == {"api_key": "(hidden)"}
    assert found["parameters"]["units"] == 4
    with local_registry.transactions.reading(None) as connection:
        tables = [str(connection.execute(sa.select(table)).all()) for table in schema.metadata.sorted_tables]
    assert any(NAME in table for table in tables)
    assert SECRET not in "".join(tables)
    files = [path.read_bytes() for path in place.root.rglob("*.json")]
    assert len(files) >= 3
    assert not [one for one in files if SECRET.encode() in one]


def test_an_incomplete_run_is_marked_in_the_graph(place: Place, local_registry: Registry, tmp_path: Path) -> None:
    ran = Ran(place, "keras", "3")
    output = ran.recorded(mlmd=str(tmp_path / "removed.sqlite"))
    assert properties(output) == (1, 0)
    run = only(graph(local_registry), NodeKind.RUN)
    assert "removed.sqlite" in (is_incomplete(run) or "")
    assert not Subgraph.from_json(json.loads(Path(output.uri, "lineage.json").read_text())).complete
